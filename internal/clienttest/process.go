package clienttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

const (
	helloTime  = 60 * time.Second // for the first line
	exitTime   = 10 * time.Second // from the end of its input until a client must have ended
	answerTime = 20 * time.Second // for one answer
	maxLine    = 1 << 20
)

// process is a client under test.
type process struct {
	hello  Hello
	moved  time.Duration // by advance
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *lockedBuffer
	read   chan struct{} // closed when its output has ended

	mu      sync.Mutex
	next    int
	waiting map[int]chan Answer
	ended   bool
}

// lockedBuffer keeps what a client writes to standard error.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	also   io.Writer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.also != nil {
		_, _ = b.also.Write(p)
	}
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func (s Subject) startProcess(ctx context.Context) (*process, error) {
	if len(s.Command) == 0 {
		return nil, errors.New("no command of a client is given")
	}
	cmd := exec.CommandContext(ctx, s.Command[0], s.Command[1:]...) //nolint:gosec // the command is what the caller wants to be tested
	cmd.Env = s.Environment
	cmd.WaitDelay = time.Second // for what a killed client's children still hold
	p := &process{cmd: cmd, stderr: &lockedBuffer{also: s.Stderr}, read: make(chan struct{}), waiting: map[int]chan Answer{}}
	cmd.Stderr = p.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the client: %w", err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, maxLine)
	silent := time.AfterFunc(helloTime, func() { _ = cmd.Process.Kill() })
	defer silent.Stop()
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &p.hello) != nil || !p.hello.Ready {
		p.kill()
		return nil, fmt.Errorf("the client's first line %q is not the hello of the protocol; its standard error: %s", lines.Text(), p.stderr)
	}
	go p.receive(lines) // ends with the client's output; stop waits for it
	return p, nil
}

func (p *process) receive(lines *bufio.Scanner) {
	defer close(p.read)
	for lines.Scan() {
		var answer Answer
		if json.Unmarshal(lines.Bytes(), &answer) != nil {
			continue // a library's chatter
		}
		p.mu.Lock()
		if waiting := p.waiting[answer.ID]; waiting != nil {
			waiting <- answer
			delete(p.waiting, answer.ID)
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, waiting := range p.waiting {
		close(waiting)
	}
}

// send writes the command; the answer arrives on the channel, which is closed
// without one if the client ends.
func (p *process) send(command Command) (<-chan Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	command.ID = p.next
	line, err := json.Marshal(command) //nolint:gosec // a secret of this test alone
	if err != nil {
		return nil, err
	}
	if p.ended {
		return nil, p.gone()
	}
	answer := make(chan Answer, 1)
	p.waiting[command.ID] = answer
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return nil, p.gone()
	}
	return answer, nil
}

func (p *process) gone() error {
	return fmt.Errorf("the client ended; its standard error: %s", p.stderr)
}

// await returns the answer.
func (p *process) await(ctx context.Context, answers <-chan Answer) (Answer, error) {
	deadline := time.NewTimer(answerTime)
	defer deadline.Stop()
	select {
	case answer, ok := <-answers:
		if !ok {
			return Answer{}, p.gone()
		}
		return answer, nil
	case <-deadline.C:
		return Answer{}, fmt.Errorf("no answer from the client within %v", answerTime)
	case <-ctx.Done():
		return Answer{}, context.Cause(ctx)
	}
}

// stop closes the client's input and waits for its end.
func (p *process) stop() error {
	_ = p.stdin.Close()
	deadline := time.AfterFunc(exitTime, func() { _ = p.cmd.Process.Kill() })
	<-p.read
	err := p.cmd.Wait()
	if !deadline.Stop() {
		return fmt.Errorf("the client did not end within %v of the end of its input", exitTime)
	}
	if err != nil {
		return fmt.Errorf("the client ended with %w; its standard error: %s", err, p.stderr)
	}
	return nil
}

// end stops the client, whatever becomes of it; nil does nothing.
func (p *process) end() {
	if p != nil {
		_ = p.stop() // who ends it has no use for it any more
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
