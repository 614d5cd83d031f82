package snippet

import (
	"encoding/json"
	"strings"
)

// Postman is a collection (format 2.1) of two requests: one gets an access token
// and keeps it in a variable, one makes the call. Its variable client_secret is
// empty: a person fills it in.
func Postman(call Call) ([]byte, error) {
	ready, err := call.ready()
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(ready.collection(), "", "  ")
}

// object is one of JSON.
type object = map[string]any

// keepToken is the script that Postman runs behind the token request.
var keepToken = []string{
	"const answer = pm.response.json();",
	"if (!answer.access_token) throw new Error('no access token: ' + answer.error + ': ' + answer.error_description);",
	"pm.collectionVariables.set('access_token', answer.access_token);",
}

func (r ready) collection() object {
	return object{
		"info": object{
			"name":        "Doorward: " + r.ClientID,
			"description": "Set the variable client_secret, send the first request, then the second. The token lasts for the seconds in expires_in.",
			"schema":      "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
		},
		"variable": []object{
			{"key": "token_url", "value": r.TokenURL},
			{"key": "api_url", "value": r.APIURL},
			{"key": "client_id", "value": r.ClientID},
			{"key": "client_secret", "value": ""},
			{"key": "access_token", "value": ""},
		},
		"item": []object{r.tokenItem(), r.callItem()},
	}
}

func (r ready) tokenItem() object {
	return object{
		"name":  "Get an access token",
		"event": []object{{"listen": "test", "script": object{"type": "text/javascript", "exec": keepToken}}},
		"request": object{
			"method": "POST",
			"url":    "{{token_url}}",
			"auth": object{"type": "basic", "basic": []object{
				{"key": "username", "value": "{{client_id}}", "type": "string"},
				{"key": "password", "value": "{{client_secret}}", "type": "string"},
			}},
			"body": object{"mode": "urlencoded", "urlencoded": []object{{"key": "grant_type", "value": "client_credentials"}}},
		},
	}
}

func (r ready) callItem() object {
	request := object{
		"method": r.Method,
		"url":    "{{api_url}}" + r.rest,
		"auth":   object{"type": "bearer", "bearer": []object{{"key": "token", "value": "{{access_token}}", "type": "string"}}},
	}
	if r.Body != "" {
		request["header"] = []object{{"key": "Content-Type", "value": "application/json"}}
		body := strings.ReplaceAll(r.Body, "{{", `{\u007b`) // or Postman reads a variable there
		request["body"] = object{"mode": "raw", "raw": body, "options": object{"raw": object{"language": "json"}}}
	}
	return object{"name": r.Method + " " + r.Path, "request": request}
}
