package dashboard

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/management"
)

// contract is what the page about the management API shows of its contract.
type contract struct {
	Info struct {
		Description string `yaml:"description"`
	} `yaml:"info"`
	Servers []struct {
		URL string `yaml:"url"`
	} `yaml:"servers"`
	Tags []struct {
		Name        string `yaml:"name"`
		Description string `yaml:"description"`
	} `yaml:"tags"`
	Paths      yaml.Node `yaml:"paths"` // in the order of the document
	Components struct {
		Parameters map[string]contractParameter `yaml:"parameters"`
	} `yaml:"components"`
}

type contractOperation struct {
	ID          string              `yaml:"operationId"`
	Tags        []string            `yaml:"tags"`
	Summary     string              `yaml:"summary"`
	Description string              `yaml:"description"`
	Permission  string              `yaml:"x-permission"`
	Parameters  []contractParameter `yaml:"parameters"`
	RequestBody struct {
		Content map[string]struct {
			Example any `yaml:"example"`
		} `yaml:"content"`
	} `yaml:"requestBody"`
	Responses map[string]struct {
		Content map[string]struct {
			Example any `yaml:"example"`
		} `yaml:"content"`
	} `yaml:"responses"`
}

type contractParameter struct {
	Ref         string `yaml:"$ref"`
	Name        string `yaml:"name"`
	In          string `yaml:"in"`
	Description string `yaml:"description"`
}

// helpAPI is the contract of the management API, readable.
func (d *dashboard) helpAPI(x *exchange) error {
	page, err := readContract()
	if err != nil {
		return err
	}
	return x.show(http.StatusOK, view.HelpAPI(x.page("Management API"), page))
}

// readContract reads it once: it takes longer than all else about its page.
var readContract = sync.OnceValues(func() (page view.APIContract, err error) {
	var c contract
	if err := yaml.Unmarshal([]byte(management.Contract), &c); err != nil {
		return page, err
	}
	page.Intro = strings.Split(strings.TrimSpace(strings.NewReplacer("**", "", "`", "").Replace(c.Info.Description)), "\n\n")
	at := map[string]int{}
	for i, tag := range c.Tags {
		at[tag.Name] = i
		page.Sections = append(page.Sections, view.APISection{Anchor: strings.ReplaceAll(strings.ToLower(tag.Name), " ", "-"), Title: tag.Name, Intro: tag.Description})
	}
	for i := 0; i+1 < len(c.Paths.Content); i += 2 {
		item := c.Paths.Content[i+1]
		var shared struct {
			Parameters []contractParameter `yaml:"parameters"`
		}
		if err := item.Decode(&shared); err != nil {
			return page, err
		}
		for j := 0; j+1 < len(item.Content); j += 2 {
			method := item.Content[j].Value
			if method == "parameters" {
				continue
			}
			o := contractOperation{}
			if err := item.Content[j+1].Decode(&o); err != nil {
				return page, err
			}
			o.Parameters = append(shared.Parameters, o.Parameters...)
			section := &page.Sections[at[o.Tags[0]]]
			section.Operations = append(section.Operations, c.operation(strings.ToUpper(method), c.Servers[0].URL+c.Paths.Content[i].Value, &o))
		}
	}
	return page, nil
})

func (c *contract) operation(method, path string, o *contractOperation) view.APIOperation {
	shown := view.APIOperation{
		Anchor: o.ID, Method: method, Path: path, Title: o.Summary, Permission: o.Permission,
		Text: strings.ReplaceAll(o.Description, "`", ""), Request: indented(o.RequestBody.Content["application/json"].Example),
	}
	for _, p := range o.Parameters {
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p = c.Components.Parameters[name]
		}
		shown.Parameters = append(shown.Parameters, view.APIParameter{Name: p.Name, In: p.In, Text: strings.ReplaceAll(p.Description, "`", "")})
	}
	for _, status := range []string{"200", "201", "204"} {
		if response, ok := o.Responses[status]; ok {
			shown.Status, shown.Response = status, indented(response.Content["application/json"].Example)
		}
	}
	return shown
}

// indented is an example as JSON to read, empty if there is none.
func indented(example any) string {
	if example == nil {
		return ""
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(example); err != nil {
		return ""
	}
	return strings.TrimSpace(text.String())
}
