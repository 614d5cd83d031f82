package clienttest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Client is what a client written in Go brings to Serve. Nil functions are
// capabilities that it lacks: Serve announces the others, and those of More.
type Client struct {
	Name    string
	More    []string // capabilities that no function shows: CanTimeout, CanShare, CanRedis
	Open    func(c Command) (Source, error)
	Advance func(by time.Duration) // moves a clock that stands still from the start
}

// Source is one open source of a client. Token is required.
type Source struct {
	Token      func(ctx context.Context) (string, error)
	Invalidate func(token string)
	Transport  http.RoundTripper // nil: the library does not put tokens on requests
	Printed    any               // what the operation print prints; nil: nothing
}

// Serve is a client's side of the protocol: it reads commands from in until it
// ends, and writes answers to out. invalidates and calls tell whether sources have
// Invalidate and a Transport.
func (c Client) Serve(in io.Reader, out io.Writer, invalidates, calls bool) error {
	capabilities := append([]string{CanLeave}, c.More...)
	for capability, has := range map[string]bool{CanClock: c.Advance != nil, CanInvalidate: invalidates, CanCall: calls, CanStream: calls} {
		if has {
			capabilities = append(capabilities, capability)
		}
	}
	s := &served{client: c, sources: map[string]Source{}, out: json.NewEncoder(out)}
	s.write(Hello{Ready: true, Name: c.Name, Capabilities: capabilities})
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var command Command
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			return fmt.Errorf("read a command: %w", err)
		}
		s.take(command)
	}
	s.work.Wait()
	return lines.Err()
}

// served is a client while it serves.
type served struct {
	client  Client
	sources map[string]Source // used by the reader of commands alone
	work    sync.WaitGroup

	mu  sync.Mutex
	out *json.Encoder
}

func (s *served) write(line any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.out.Encode(line) // nobody reads any more: the end of the input will tell
}

// take carries out what is quick at once, in order, and the rest beside it.
func (s *served) take(command Command) {
	source := s.sources[command.Source]
	answer := Answer{ID: command.ID}
	switch command.Op {
	case "open":
		opened, err := s.client.Open(command)
		if err != nil {
			answer.Error = err.Error()
		}
		s.sources[command.Source] = opened
	case "advance":
		s.client.Advance(time.Duration(command.Milliseconds) * time.Millisecond)
	case "invalidate":
		source.Invalidate(command.Token)
	case "print":
		answer.Text = fmt.Sprintf("%v %+v %#v", source.Printed, source.Printed, source.Printed)
	case "token":
		s.work.Go(func() { s.write(source.tokens(command)) })
		return
	case "call":
		s.work.Go(func() { s.write(source.call(command)) })
		return
	default:
		answer.Error = "no such operation: " + command.Op
	}
	s.write(answer)
}

// tokens asks for tokens at once, as many callers do.
func (s Source) tokens(command Command) Answer {
	ctx := context.Background()
	if command.Timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(command.Timeout)*time.Millisecond)
		defer cancel()
		ctx = limited
	}
	answer := Answer{ID: command.ID}
	var (
		callers  sync.WaitGroup
		mu       sync.Mutex
		distinct = map[string]bool{}
	)
	for range max(command.Count, 1) {
		callers.Go(func() {
			token, err := s.Token(ctx)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil && answer.Failed == 0:
				answer.Error = err.Error()
				fallthrough
			case err != nil:
				answer.Failed++
			case !distinct[token]:
				distinct[token] = true
				answer.Tokens = append(answer.Tokens, token)
			}
		})
	}
	callers.Wait()
	return answer
}

func (s Source) call(command Command) Answer {
	answer := Answer{ID: command.ID}
	var body io.Reader = strings.NewReader(command.Body)
	if command.Stream {
		body = io.MultiReader(body) // of a type that net/http does not know how to rewind
	}
	if command.Body == "" {
		body = nil
	}
	request, err := http.NewRequestWithContext(context.Background(), command.Method, command.URL, body)
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	response, err := s.Transport.RoundTrip(request)
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		answer.Error = err.Error()
	}
	answer.Status, answer.Body = response.StatusCode, string(text)
	return answer
}
