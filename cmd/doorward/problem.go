package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// problem is a refusal (RFC 9457).
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Type   string `json:"type"`
	Trace  string `json:"traceId"`
	Params []struct {
		Name, Reason string
	} `json:"invalidParams"`
}

func (p *problem) Error() string {
	var text strings.Builder
	detail := p.Detail
	if detail == "" {
		detail = p.Title
	}
	fmt.Fprintf(&text, "%s (%s)", visible(strings.TrimSuffix(detail, ".")), p.Code)
	for _, param := range p.Params {
		fmt.Fprintf(&text, "\n  %s: %s", visible(param.Name), visible(param.Reason))
	}
	if p.Type != "" && p.Type != "about:blank" {
		fmt.Fprintf(&text, "\n  help: doorward explain %s, or %s", p.Code, visible(p.Type))
	}
	if p.Trace != "" {
		fmt.Fprintf(&text, "\n  trace: %s", visible(p.Trace))
	}
	return text.String()
}

func problemOf(response *http.Response, text []byte) error {
	p := &problem{}
	if json.Unmarshal(text, p) != nil || p.Code == "" {
		p = &problem{Code: strconv.Itoa(response.StatusCode), Detail: response.Request.URL.Host + " answered " + response.Status}
	}
	p.Status = response.StatusCode
	return p
}
