package main

import "testing"

func TestMetricIsSummedOverItsLabels(t *testing.T) {
	text := []byte("# TYPE doorward_sql_statements_total counter\n" +
		"doorward_sql_statements_total{kind=\"read\"} 40\n" +
		"doorward_sql_statements_total{kind=\"write } \"} 2 1700000000000\n" +
		"doorward_sql_statements_total_created 9\n")
	got, err := sumOfMetric(text, statementMetric)
	if err != nil || got != 42 {
		t.Errorf("sum = %v, error %v; want 42", got, err)
	}
}

func TestMetricThatIsMissingOrBrokenIsAnError(t *testing.T) {
	for _, text := range []string{
		"", "other 3\n", statementMetric + " x\n", statementMetric + "{} \n",
	} {
		if _, err := sumOfMetric([]byte(text), statementMetric); err == nil {
			t.Errorf("%q was read without an error", text)
		}
	}
}

func TestAccessTokenIsCutOutOfTheAnswer(t *testing.T) {
	got, err := accessToken([]byte(`{"access_token":"a.b.c","expires_in":600}`))
	if err != nil || got != "a.b.c" {
		t.Errorf("token = %q, error %v", got, err)
	}
	for _, body := range []string{"", `{"error":"invalid_client"}`, `{"access_token":"a.b`} {
		if _, err := accessToken([]byte(body)); err == nil {
			t.Errorf("%q has a token", body)
		}
	}
}

func TestPlainTokenHasTheSizeOfTheTokenItIsLike(t *testing.T) {
	first, err := newPlainIssuer("")
	if err != nil {
		t.Fatal(err)
	}
	first.claims.ID += "a longer id"
	like, err := first.sign("sandbox-round-apple-123", 1_780_000_000)
	if err != nil {
		t.Fatal(err)
	}
	second, err := newPlainIssuer(like)
	if err != nil {
		t.Fatal(err)
	}
	got, err := second.sign("sandbox-round-apple-123", 1_780_000_001)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(like) {
		t.Errorf("token has %d bytes, want %d", len(got), len(like))
	}
	if _, err := newPlainIssuer("a.b"); err == nil {
		t.Error("a token of two parts was accepted")
	}
}
