package redis

import (
	"bufio"
	"errors"
	"strings"
	"testing"
)

func FuzzReply(f *testing.F) {
	for _, reply := range []string{
		"+OK\r\n", "-ERR no\r\n", ":1\r\n", "*2\r\n:1\r\n:2\r\n", "*-1\r\n", "*65\r\n", "*1\r\n$1\r\nx\r\n", "$-1\r\n", ":\r\n", "\r\n", "*1\n:1\n",
		":99999999999999999999\r\n", ":" + strings.Repeat("1", maxLine), "HTTP/1.1 400 Bad Request\r\n", "+\r\n\n",
	} {
		f.Add(reply)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		numbers, err := readReply(bufio.NewReaderSize(strings.NewReader(reply), maxLine))
		if err == nil && (len(numbers) > maxNumbers || !strings.ContainsRune("+:*", rune(reply[0])) || !strings.HasSuffix(reply[:strings.Index(reply, "\n")+1], "\r\n")) {
			t.Errorf("%q was read as %v", reply, numbers)
		}
		if errors.As(err, new(Error)) && reply[0] != '-' {
			t.Errorf("%q was read as an error of the server", reply)
		}
	})
}

func TestRepliesThatAreNone(t *testing.T) {
	for _, reply := range []string{"*65\r\n", "*-1\r\n", "*1\r\n$1\r\nx\r\n", "$1\r\nx\r\n", ":x\r\n", ":1\n", "HTTP/1.1 400 Bad Request\r\n", ":" + strings.Repeat("1", maxLine) + "\r\n"} {
		if numbers, err := readReply(bufio.NewReaderSize(strings.NewReader(reply), maxLine)); !errors.Is(err, errReply) {
			t.Errorf("%.20q was read as %v, %v", reply, numbers, err)
		}
	}
	t.Run("twin", func(t *testing.T) {
		if numbers, err := readReply(bufio.NewReader(strings.NewReader("*1\r\n:5\r\n"))); err != nil || len(numbers) != 1 || numbers[0] != 5 {
			t.Errorf("%v, %v", numbers, err)
		}
	})
}
