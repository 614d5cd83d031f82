package main

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// listed names, for a field, the noun whose list holds what may be given.
var listed = map[string]string{
	"organisation_id": "org", "account_id": "account", "client_id": "client", "secret_id": "secret", "kid": "key",
	"person_id": "member", "contact_id": "member", "invitation_id": "invite", "request_id": "request", "webhook_id": "webhook", "product": "product", "permission": "permission", "permissions": "permission", "add": "permission",
}

// completeArgument offers what the next argument may be.
func (t *task) completeArgument(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	positional := t.positional()
	if len(positional) == 0 || len(args) >= len(positional) && positional[len(positional)-1].schema.Type != "array" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if t.read(args) != nil { // the list of a client's secrets needs the client
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return t.completion(positional[min(len(args), len(positional)-1)])(cmd, args, begun)
}

// completion offers the words of the contract, or what the server lists.
func (t *task) completion(f *field) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch {
		case f.schema.Type == "boolean":
			return []string{"true", "false"}, cobra.ShellCompDirectiveNoFileComp
		case f.schema.Enum != nil:
			return f.schema.Enum, cobra.ShellCompDirectiveNoFileComp
		}
		return t.offer(cmd, listed[f.name], begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// patienceOfShell is how long somebody waits for a completion.
const patienceOfShell = 2 * time.Second

// offer lists the ids of a noun with their names; none when that fails.
func (t *task) offer(cmd *cobra.Command, of, begun string) (found []cobra.Completion) {
	at := slices.IndexFunc(nouns, func(n noun) bool { return n.name == of })
	if at < 0 {
		return nil
	}
	n := &nouns[at]
	list := operations()[n.verbs[0].operation]
	m, err := newManager(cmd, t.profile)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), patienceOfShell)
	defer cancel()
	query := url.Values{}
	if list.lists() {
		query.Set("limit", "100")
	}
	if list.parameter("query", "text") != nil && begun != "" {
		query.Set("text", begun)
	}
	if list.parameter("query", "organisation_id") != nil && m.profile.Organisation != "" {
		query.Set("organisation_id", m.profile.Organisation)
	}
	_ = m.pages(ctx, ask{method: list.method, path: t.address(list), query: query}, "items", 100, func(items []json.RawMessage) error {
		for _, text := range items {
			if node, err := ordered(text); err == nil {
				found = append(found, cobra.CompletionWithDesc(cellOf(node, n.id[0]), strings.TrimPrefix(cellOf(node, "name")+" "+cellOf(node, "email"), "- ")))
			}
		}
		return nil
	})
	return found
}

// completeFilter offers names of filters, then what their values may be.
func (t *task) completeFilter(cmd *cobra.Command, args []string, begun string) (found []cobra.Completion, _ cobra.ShellCompDirective) {
	name, value, ok := strings.Cut(begun, "=")
	for _, f := range t.filterFields() {
		if !ok {
			found = append(found, f.flag()+"=")
		} else if f.flag() == name {
			values, _ := t.completion(f)(cmd, args, value)
			for _, text := range values {
				found = append(found, name+"="+text)
			}
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
