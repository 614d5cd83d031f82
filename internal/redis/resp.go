package redis

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
)

// https://redis.io/docs/latest/develop/reference/protocol-spec/, version 2.

// Error is what the server answered in place of a result.
type Error string

func (e Error) Error() string { return "Redis: " + string(e) }

// What a reply may have at most.
const (
	maxLine    = 4096
	maxNumbers = 64
)

var errReply = errors.New("the answer is not that of a Redis server")

func appendCommand(out []byte, words ...string) []byte {
	out = fmt.Appendf(out, "*%d\r\n", len(words))
	for _, word := range words {
		out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(word), word)
	}
	return out
}

// readReply reads a status, which has no numbers, an integer, an array of
// integers, or an [Error].
func readReply(r *bufio.Reader) (numbers []int64, err error) {
	kind, text, err := readLine(r)
	switch {
	case err != nil:
		return nil, err
	case kind == '+':
		return nil, nil
	case kind == '-':
		return nil, Error(text)
	case kind == ':':
		number, err := parse(text)
		return []int64{number}, err
	case kind == '*':
		count, err := parse(text)
		if err != nil || count < 0 || count > maxNumbers {
			return nil, errReply
		}
		return readNumbers(r, int(count))
	}
	return nil, errReply
}

func readNumbers(r *bufio.Reader, count int) (numbers []int64, err error) {
	numbers = make([]int64, count)
	for i := range numbers {
		kind, text, err := readLine(r)
		if err != nil {
			return nil, err
		}
		if kind != ':' {
			return nil, errReply
		}
		if numbers[i], err = parse(text); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

func readLine(r *bufio.Reader) (kind byte, text string, err error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return 0, "", errReply
	}
	if err != nil {
		return 0, "", err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return 0, "", errReply
	}
	return line[0], string(line[1 : len(line)-2]), nil
}

func parse(text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errReply
	}
	return number, nil
}
