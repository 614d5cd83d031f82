package access

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
)

const accountName = "signicat-accountId"

// Each row is refused with 400; its twin, with one thing changed, is not.
func TestAmbiguousQueriesAreRefused(t *testing.T) {
	const own, other = "signicat-accountId=own", "signicat-accountId=other"
	tests := []struct{ name, raw, twin string }{
		{"GW-30 twice", own + "&" + other, own + "&x=other"},
		{"GW-30 twice the same", own + "&" + own, own},
		{"GW-30 twice, far apart", own + "&a=1&b=2&" + other, own + "&a=1&b=2&a=3"},
		{"GW-30 twice, once without a value", own + "&signicat-accountId", own + "&signicat"},
		{"GW-32 T33 semicolon separates", own + ";" + other, own + "%3B" + other},
		{"GW-32 T33 semicolon in another value", own + "&a=b;c", own + "&a=b%3bc"},
		{"GW-32 list brackets", "signicat-accountId[]=own", "signicat-account[]=own"},
		{"GW-32 list brackets encoded", "signicat-accountId%5B%5D=own", "signicat-account%5B%5D=own"},
		{"GW-32 index", "signicat-accountId[0]=own", "signicat-account[0]=own"},
		{"GW-32 brackets around", "[signicat-accountId]=own", "[signicat-account]=own"},
		{"GW-32 member of another", own + "&signicat-accountId[x]=own", own + "&x[signicat-accountId]=own"},
		{"GW-32 letter encoded", "signicat-%61ccountId=own", "signicat-accountId=%6fwn"},
		{"GW-32 lower case", "signicat-accountid=own", own},
		{"GW-32 upper case beside it", own + "&SIGNICAT-ACCOUNTID=other", own + "&SIGNICAT-ACCOUNT=other"},
		{"GW-32 case twin beyond ASCII", "%C5%BFignicat-accountId=own", "%C5%BEignicat-accountId=own"},
		{"GW-32 plus before", "+signicat-accountId=own", "+a=own"},
		{"GW-32 space behind", "signicat-accountId%20=own", "a%20=own"},
		{"GW-32 encoded plus", "%2Bsignicat-accountId=own", "%2Ba=own"},
		{"GW-32 question mark before", "?signicat-accountId=own", "?a=own"},
		{"GW-32 NUL behind", "signicat-accountId%00=own", "signicat-accountId=own"},
		{"GW-32 TAB behind", "signicat-accountId%09=own", "signicat-accountId=own"},
		{"GW-32 next line of C1 behind", "signicat-accountId%C2%85=own", "signicat-accountId=own%C2%85"},
		{"GW-32 name is not UTF-8", "signicat-accountId%ff=own", "signicat-accountId=own%ff"},
		{"GW-32 T33 broken escape beside it", own + "&a=%x", own + "&a=%78"},
		{"GW-32 T33 broken escape in a name", own + "&%zz=1", own + "&%7a=1"},
		{"GW-32 escape cut short", own + "&a=%2", own + "&a=%20"},
		{"GW-32 broken escape in the value", "signicat-accountId=%", "signicat-accountId=%25"},
		{"JWT-36 token", "access_token=x", "access_tokens=x"},
		{"JWT-36 token after the account", own + "&access_token=x", own + "&accesstoken=x"},
		{"JWT-36 token in upper case", "ACCESS_TOKEN=x", "ACCESS_KEY=x"},
		{"JWT-36 token encoded", "access%5Ftoken=x", "access%5Ekey=x"},
		{"JWT-36 token in brackets", "access_token[]=x", "tokens[]=x"},
		{"JWT-36 token with a dot", "access.token=x", "access-token=x"},
		{"JWT-36 token with a space", "Access+token=x", "Access+key=x"},
		{"JWT-36 token without a value", "access_token", "access"},
		{"control raw", "a=\r", "a=%0D"},
		{"NUL encoded", "a=%00", "a=%30"},
		{"DEL encoded", "a=%7F", "a=%7E"},
		{"space raw", "a= b", "a=+b"},
		{"non-ASCII raw", "a=é", "a=%C3%A9"},
		{"257 parameters", strings.Repeat("a&", 256) + "a", strings.Repeat("a&", 255) + "a"},
		{"257 empty parameters", strings.Repeat("&", 256), strings.Repeat("&", 255)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			value, present, err := ParseQuery(tt.raw, accountName)
			if codeOf(err) != fault.RequestMalformed || value != "" || present {
				t.Errorf("ParseQuery(%.60q) = %q, %t, %v, want code %q", tt.raw, value, present, err, fault.RequestMalformed)
			}
			t.Run("twin", func(t *testing.T) {
				if _, _, err := ParseQuery(tt.twin, accountName); err != nil {
					t.Errorf("ParseQuery(%.60q): %v", tt.twin, err)
				}
			})
		})
	}
}

func TestParseQueryFindsTheParameter(t *testing.T) {
	tests := []struct {
		raw, wanted, value string
		present            bool
	}{
		{"", accountName, "", false},
		{"signicat-accountId=a-s-1", accountName, "a-s-1", true},
		{"x=1&signicat-accountId=a-s-1&x=2", accountName, "a-s-1", true},
		{"signicat-accountId=a%2Ds+1", accountName, "a-s 1", true},
		{"signicat-accountId=a=b", accountName, "a=b", true},
		{"signicat-accountId=", accountName, "", true},
		{"signicat-accountId", accountName, "", true},
		{"&&signicat-accountId=a&", accountName, "a", true},
		{"signicat-accountIds=1&signicat-account=2&accountId=3", accountName, "", false},
		{"signicat-accountId=1&signicat-accountId=2", "", "", false},
		{"=1&=2&[]=3", "", "", false},
		{"text=two%0D%0Alines%09&signicat-accountId=a", accountName, "a", true},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
			value, present, err := ParseQuery(tt.raw, tt.wanted)
			if err != nil || value != tt.value || present != tt.present {
				t.Errorf("ParseQuery = %q, %t, %v, want %q, %t", value, present, err, tt.value, tt.present)
			}
		})
	}
}

// A wanted name with underscores has twins in PHP: dots and spaces.
func TestDotsAndSpacesAreUnderscoresToSomeProducts(t *testing.T) {
	for _, raw := range []string{"account.id=1", "Account+id=1", "account_id=1&account%20id=2"} {
		if _, _, err := ParseQuery(raw, "account_id"); codeOf(err) != fault.RequestMalformed {
			t.Errorf("ParseQuery(%q): error %v", raw, err)
		}
	}
	t.Run("twin", func(t *testing.T) {
		if value, _, err := ParseQuery("account_id=1&account-id=2", "account_id"); err != nil || value != "1" {
			t.Errorf("value %q, error %v", value, err)
		}
	})
}

func TestRefusedParameterIsNamed(t *testing.T) {
	_, _, err := ParseQuery("signicat-accountid=sEcReT", accountName)
	refusal, ok := errors.AsType[*fault.Error](err)
	if !ok || len(refusal.Params) != 1 || refusal.Params[0].Name != accountName || strings.Contains(err.Error(), "sEcReT") {
		t.Errorf("error %#v", err)
	}
}

func TestGW19_methodOverrideIsLeftOut(t *testing.T) {
	for _, tt := range []struct{ raw, want string }{
		{"_method=DELETE", ""},
		{"a=1&_method=DELETE&b=%C3%A9", "a=1&b=%C3%A9"},
		{"_method=DELETE&a=1&_method=PUT", "a=1"},
		{"a=1&_METHOD", "a=1"},
		{"%5Fmethod=DELETE&a=1", "a=1"},
		{"_method[]=DELETE&a=1", "a=1"},
		{".method=DELETE&+_method=DELETE&a=1", "a=1"},
		{"method=DELETE&_methods=1&x_method=2&a=_method&&", "method=DELETE&_methods=1&x_method=2&a=_method&&"}, // the twin
	} {
		if got := withoutMethodOverride(tt.raw); got != tt.want {
			t.Errorf("of %q remains %q, want %q", tt.raw, got, tt.want)
		}
	}
}

func TestCleanQueryTakesNoAllocation(t *testing.T) {
	allocations := testing.AllocsPerRun(100, func() {
		if _, _, err := ParseQuery("limit=10&sort.by=name&signicat-accountId=a-s-abcdefghij0123456789&q=%C3%A9", accountName); err != nil {
			t.Fatal(err)
		}
		withoutMethodOverride("limit=10&sort.by=name&signicat-accountId=a-s-abcdefghij0123456789&q=%C3%A9")
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, seed := range []string{
		"", "signicat-accountId=a", "a=1&signicat-accountId=%20x&b", "signicat-accountId=a&SIGNICAT-accountid=b", "a;b", "%", "a=%zz", "access_token=x",
		"signicat-accountId[]=1", "+signicat-accountId=1", "%73ignicat-accountId=1", "=", "&&", "a=b=c", "%C5%BFignicat-accountId=own",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		value, present, err := ParseQuery(raw, accountName)
		if err != nil {
			if codeOf(err) != fault.RequestMalformed {
				t.Fatalf("code of %v", err)
			}
			return
		}
		values, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("net/url refuses %q: %v", raw, err)
		}
		var got []string
		for name, all := range values {
			if strings.EqualFold(name, accountName) {
				got = append(got, all...)
			}
			if strings.EqualFold(name, refusedParameter) {
				t.Fatalf("%q has a token", raw)
			}
		}
		if present != (len(got) == 1) || len(got) > 1 || present && got[0] != value {
			t.Fatalf("%q: net/url reads %q, we read %q, %t", raw, got, value, present)
		}
	})
}
