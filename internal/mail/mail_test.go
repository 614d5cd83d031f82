package mail_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// body is the sealed text of a mail as it is stored, empty once erased.
func (f *fixture) body(t testing.TB, key string) (sealed []byte) {
	t.Helper()
	err := f.DB.View(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT body FROM mail WHERE id = $1 -- any organisation: a test`, key).Scan(&sealed)
	})
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestAMailIsDeliveredOnceAsItWasWritten(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.mustPost(t, "Ada@example.com")
		for range 2 {
			if err := f.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		got := f.server.mails()
		if len(got) != 1 || got[0].from != "FROM:<no-reply@example.com>" || got[0].to != "TO:<Ada@example.com>" {
			t.Fatalf("delivered: %+v", got)
		}
		m, err := netmail.ReadMessage(strings.NewReader(got[0].text))
		if err != nil {
			t.Fatal(err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		text, textErr := io.ReadAll(quotedprintable.NewReader(m.Body))
		if err := errors.Join(err, textErr); err != nil {
			t.Fatal(err)
		}
		want := "Use this:\nhttps://dashboard.example.com/verify/t0ken\n\n.\nEnd — now.\n"
		if got := strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"); subject != "Grüße" || got != strings.TrimSuffix(want, "\n") {
			t.Errorf("subject %q, text %q, want %q", subject, got, want)
		}
		if from := m.Header.Get("From"); from != `"Example APIs" <no-reply@example.com>` || m.Header.Get("Message-ID") != "<"+e.ID+"@example.com>" {
			t.Errorf("header: %v", m.Header)
		}
		if login := f.server.login(); login != "\x00doorward\x00"+mailPassword {
			t.Errorf("signed in as %q", login)
		}
		if e := f.newest(t); e.State != mail.Delivered || e.Attempts != 1 || !e.EndedAt.Equal(f.time()) {
			t.Errorf("entry = %+v", e)
		}
	})
}

func TestSEC04_theTextOfAMailIsSealedAndErasedOnceDelivered(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.mustPost(t, "ada@example.com")
		sealed := f.body(t, e.ID)
		if len(sealed) == 0 || strings.Contains(string(sealed), "t0ken") {
			t.Errorf("SEC-04: stored in clear, or not at all: %q", sealed)
		}
		if err := f.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := f.body(t, e.ID); left != nil {
			t.Errorf("SEC-04: left after delivery: %q", left)
		}
	})
}

func TestAMailIsOfTheTransactionItIsWrittenIn(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		failed := errors.New("failed")
		err := f.DB.Update(t.Context(), func(tx *sqldb.Tx) error {
			return errors.Join(f.Post(t.Context(), tx, message("ada@example.com")), failed)
		})
		if entries, _, listErr := f.List(t.Context(), false, ""); !errors.Is(err, failed) || listErr != nil || len(entries) != 0 {
			t.Errorf("entries = %v, %v, %v", entries, err, listErr)
		}
	})
}

func TestADeliveryIsTriedAgainLaterAndLater(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.mustPost(t, "ada@example.com")
		f.server.refuse("451 later")
		var pauses []time.Duration
		for range 9 {
			before := f.time()
			if err := f.Pass(t.Context()); err == nil {
				t.Fatal("a failure is not told")
			}
			if err := f.Pass(t.Context()); err != nil {
				t.Fatalf("tried again at once: %v", err)
			}
			f.add(f.newest(t).NextAt.Sub(before))
			pauses = append(pauses, f.time().Sub(before))
		}
		if pauses[0] != mail.FirstPause || pauses[1] != 2*mail.FirstPause || pauses[8] != mail.LongestPause {
			t.Errorf("pauses = %v", pauses)
		}
		if e := f.newest(t); e.State != mail.Waiting || !strings.Contains(e.Failure, "451") || len(f.server.mails()) != 0 {
			t.Errorf("entry = %+v", e)
		}
		f.server.refuse("")
		if err := f.Pass(t.Context()); err != nil || f.newest(t).State != mail.Delivered {
			t.Errorf("when the server takes it: %v, %+v", err, f.newest(t))
		}
	})
}

func TestWhatIsRefusedForGoodOrOfNoUseAnyMoreIsGivenUp(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		refused := f.mustPost(t, "ada@example.com")
		f.server.refuse("550 nobody of that name")
		if err := f.Pass(t.Context()); err != nil {
			t.Errorf("one bad address holds the others up: %v", err)
		}
		if e := f.newest(t); e.State != mail.Failed || !strings.Contains(e.Failure, "550") || f.body(t, refused.ID) != nil {
			t.Errorf("refused: %+v", e)
		}
		f.server.refuse("")
		f.add(time.Second)
		late := f.mustPost(t, "grace@example.com")
		f.add(late.EndsAt.Sub(f.time()))
		if err := f.Pass(t.Context()); err != nil || len(f.server.mails()) != 0 {
			t.Errorf("delivered after its end: %v", err)
		}
		if e := f.newest(t); e.State != mail.Failed || f.body(t, late.ID) != nil {
			t.Errorf("late: %+v", e)
		}
	})
}

func TestNoMailCrossesTheNetworkInClear(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t))
	f.mustPost(t, "ada@example.com")
	f.server.note(func() { f.server.clear = true })
	if err := f.Pass(t.Context()); err == nil || len(f.server.mails()) != 0 || f.server.login() != "" {
		t.Errorf("without STARTTLS: %v, login %q", err, f.server.login())
	}
	f.server.note(func() { f.server.clear = false })
	roots := f.smtp.Roots
	f.smtp.Roots = newMailServer(t).roots
	f.add(f.newest(t).NextAt.Sub(f.time()))
	if err := f.Pass(t.Context()); err == nil || len(f.server.mails()) != 0 {
		t.Errorf("with a certificate of somebody else: %v", err)
	}
	t.Run("twin", func(t *testing.T) {
		f.smtp.Roots = roots
		f.add(f.newest(t).NextAt.Sub(f.time()))
		if err := f.Pass(t.Context()); err != nil || len(f.server.mails()) != 1 {
			t.Error(err)
		}
	})
}

func TestAMailServerCanSpeakTLSFromTheFirstByte(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t))
	f.mustPost(t, "ada@example.com")
	f.smtp.Encryption = mail.Implicit
	f.server.note(func() { f.server.sealed = true })
	if err := f.Pass(t.Context()); err != nil || len(f.server.mails()) != 1 || f.server.login() == "" {
		t.Errorf("%v, %d mails", err, len(f.server.mails()))
	}
}

func TestTwoNodesDeliverAMailOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for i := range 5 {
			f.mustPost(t, fmt.Sprintf("ada%d@example.com", i))
		}
		second := mail.New(f.Config)
		var both sync.WaitGroup
		for _, node := range []*mail.Outbox{f.Outbox, second} {
			both.Go(func() {
				if err := node.Pass(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if got := f.server.mails(); len(got) != 5 {
			t.Errorf("%d mails, want 5", len(got))
		}
	})
}

func TestWhatWasNotFinishedIsTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.mustPost(t, "ada@example.com")
		ended, cancel := context.WithCancel(t.Context())
		f.server.refuse("451 later")
		cancel()
		_ = f.Pass(ended) // the process ends
		f.server.refuse("")
		f.add(time.Minute)
		if err := f.Pass(t.Context()); err != nil || len(f.server.mails()) != 1 {
			t.Errorf("the next process: %v, %d mails", err, len(f.server.mails()))
		}
	})
}

// A mail server hangs up in place of its first answer, then of its second, and so
// on until it does not before the mail is through: the mail arrives, and twice
// only where the answer was lost that said it was taken.
func TestAMailArrivesWhereverItsServerHangsUp(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for n := 1; ; n++ {
			f.add(time.Minute)
			f.mustPost(t, fmt.Sprintf("ada.%d@example.com", n))
			before := len(f.server.mails())
			f.server.note(func() { f.server.answers = n })
			first := f.Pass(t.Context())
			var left int
			f.server.note(func() { left, f.server.answers = f.server.answers, 0 })
			taken := len(f.server.mails()) - before
			f.add(time.Hour)
			if err := f.Pass(t.Context()); err != nil {
				t.Fatalf("hung up in place of answer %d: then %v", n, err)
			}
			e, all := f.newest(t), len(f.server.mails())-before
			want := 1
			if first != nil {
				want += taken
			}
			if e.State != mail.Delivered || all != want {
				t.Errorf("hung up in place of answer %d (%v): %s, %d mails, want %d", n, first, e.State, all, want)
			}
			if left > 0 {
				if n < 8 {
					t.Errorf("a mail took %d answers", n)
				}
				break
			}
		}
	})
}

func TestDOS13_mailsInALoopMeetLimits(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for range mail.PerRecipient {
			f.mustPost(t, "ada@example.com")
		}
		again, notice := message("ADA@example.com"), message("ada@example.com")
		notice.Notice = true
		if err := f.post(t, again); fault.KindOf(err) != fault.RateLimited {
			t.Errorf("DOS-13: one more: %v", err)
		}
		if err := f.post(t, notice); err != nil {
			t.Errorf("a notice stops what it tells about: %v", err)
		}
		if entries, _, err := f.List(t.Context(), false, ""); err != nil || len(entries) != mail.PerRecipient {
			t.Errorf("%d mails were written, %v", len(entries), err)
		}
		t.Run("twin", func(t *testing.T) {
			other := message("ada@example.com")
			other.Kind = "other"
			if err := errors.Join(f.post(t, other), f.post(t, message("grace@example.com"))); err != nil {
				t.Errorf("another kind, another address: %v", err)
			}
			f.add(time.Hour)
			if err := f.post(t, again); err != nil {
				t.Errorf("an hour later: %v", err)
			}
		})
	})
}

func TestDOS13_anOrganisationAndTheInstallationHaveLimitsToo(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t))
	sent := func(n int, organisation string) {
		err := f.DB.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO mail (id, kind, organisation_id, recipient, recipient_key, subject, state, created_at, ends_at, next_at, attempts, ended_at, failure)
				WITH RECURSIVE counting (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counting WHERE i < $1)
				SELECT $2 || i, 'x', $2, '', '', '', 'delivered', $3, 0, 0, 0, 0, '' FROM counting`, n, organisation, f.time().UnixMicro())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	m := message("ada@example.com")
	m.Organisation = "o-1"
	sent(mail.PerOrganisation, "o-1")
	if err := f.post(t, m); fault.KindOf(err) != fault.RateLimited {
		t.Errorf("DOS-13: of the organisation: %v", err)
	}
	t.Run("twin", func(t *testing.T) {
		m.Organisation = "o-2"
		if err := f.post(t, m); err != nil {
			t.Error(err)
		}
	})
	sent(mail.PerHour-mail.PerOrganisation-1, "o-3")
	if err := f.post(t, message("grace@example.com")); fault.KindOf(err) != fault.RateLimited {
		t.Errorf("DOS-13: of the installation: %v", err)
	}
}

func TestANameInAMailForgesNothing(t *testing.T) {
	to, ends := mail.Recipient{Address: "ada@example.com", Key: "ada@example.com"}, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range []string{"https://evil.example/x", "evil.example", "a\r\nBcc: eve@evil.example", "“ paid. Now:\n\nhttp://evil.example %LINK%", strings.Repeat("x", 500)} {
		m := mail.Invitation(to, "/invite/", secret.NewPlaintext("t"), name, name, []string{"Viewer"}, ends)
		for _, text := range []string{m.Subject, strings.Replace(m.Text, "%LINK%", "", 1)} {
			for _, forged := range []string{"://", "evil.example", "eve@", "\r", "%LINK%", strings.Repeat("x", 121)} {
				if strings.Contains(text, forged) {
					t.Errorf("%q of %q has %q", text, name, forged)
				}
			}
		}
		if strings.Contains(m.Subject, "\n") || strings.Count(m.Text, "\n\n") != 3 {
			t.Errorf("%q makes paragraphs of its own: %q", name, m.Text)
		}
	}
}

func TestTheOutboxIsListedInPagesAndForgotten(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for i := range mail.PerPage + 1 {
			f.mustPost(t, fmt.Sprintf("ada%d@example.com", i))
		}
		first, more, err := f.List(t.Context(), false, "")
		if err != nil || !more || len(first) != mail.PerPage {
			t.Fatalf("first page: %d, %v, %v", len(first), more, err)
		}
		second, more, err := f.List(t.Context(), false, first[len(first)-1].ID)
		if err != nil || more || len(second) != 1 || second[0].ID == first[0].ID {
			t.Errorf("second page: %v, %v, %v", second, more, err)
		}
		f.Deliver = nil
		f.add(mail.Kept)
		ended, cancel := context.WithCancel(t.Context())
		running := make(chan struct{})
		go func() { f.Run(ended); close(running) }()
		for left := first; len(left) > 0; { // Run forgets when it begins
			if left, _, err = f.List(t.Context(), false, ""); err != nil {
				t.Error(err)
				break
			}
		}
		cancel()
		<-running
	})
}

func TestWhatIsNotDeliveredIsListedAndCounted(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		backlog := func() mail.Backlog {
			t.Helper()
			b, err := f.Backlog(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		f.mustPost(t, "delivered@example.com")
		if err := f.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b := backlog(); b != (mail.Backlog{}) {
			t.Errorf("all is delivered: %+v", b)
		}
		f.server.refuse("550 no such mailbox")
		f.mustPost(t, "refused@example.com")
		if err := f.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.add(time.Second)
		waits := f.mustPost(t, "waits@example.com")
		if b := backlog(); b.Waiting != 1 || !b.Oldest.Equal(waits.CreatedAt) || b.Failed != 1 {
			t.Errorf("one waits and one failed: %+v", b)
		}
		left, _, err := f.List(t.Context(), true, "")
		if err != nil || len(left) != 2 || left[0].ID != waits.ID || left[1].State != mail.Failed {
			t.Errorf("not delivered: %v, %v", left, err)
		}
		if e, err := f.Entry(t.Context(), waits.ID); err != nil || e != waits {
			t.Errorf("%+v, %v, want %+v", e, err, waits)
		}
		_, err = f.Entry(t.Context(), "m-0")
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("a mail that is not there: %v", err)
		}
		f.add(4 * 24 * time.Hour)
		if b := backlog(); b != (mail.Backlog{}) {
			t.Errorf("what is of no use any more counts: %+v", b)
		}
	})
}

func TestTheTextIsReadWhereNoMailServerDelivers(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.mustPost(t, "ada@example.com")
		read := func() (text string, err error) {
			err = f.DB.View(t.Context(), func(tx *sqldb.Tx) error {
				_, text, err = f.Open(t.Context(), tx, e.ID)
				return err
			})
			return text, err
		}
		if text, err := read(); fault.KindOf(err) != fault.Conflict || text != "" {
			t.Errorf("with a mail server: %q, %v", text, err)
		}
		t.Run("twin", func(t *testing.T) {
			f.Deliver = nil
			if text, err := read(); err != nil || !strings.Contains(text, "https://dashboard.example.com/verify/t0ken") {
				t.Errorf("text = %q, %v", text, err)
			}
			if err := f.Pass(t.Context()); err != nil || f.newest(t).State != mail.Waiting {
				t.Errorf("it no longer waits: %v", err)
			}
		})
	})
}
