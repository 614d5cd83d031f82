package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

// through sends a request through behindProxies and returns what is behind.
func through(t *testing.T, trusted []netip.Prefix, peer string, header http.Header) (seen *http.Request) {
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.RemoteAddr, r.Header = peer, header
	behindProxies(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r })).ServeHTTP(httptest.NewRecorder(), r)
	return seen
}

func TestGW18_theCallersAddressIsBelievedOnlyFromTrustedProxies(t *testing.T) {
	const stranger, proxy = "203.0.113.9:1000", "10.0.0.1:1000"
	for name, row := range map[string]struct {
		trusted []netip.Prefix
		peer    string
		values  []string
		want    string
	}{
		"GW-18 a stranger's word":              {proxies, stranger, []string{"198.51.100.7"}, "203.0.113.9"},
		"GW-18 a stranger's word/twin":         {proxies, proxy, []string{"198.51.100.7"}, "198.51.100.7"},
		"GW-18 no proxies are trusted":         {nil, proxy, []string{"198.51.100.7"}, "10.0.0.1"},
		"T23 what a caller wrote before":       {proxies, proxy, []string{"1.2.3.4, 198.51.100.7"}, "198.51.100.7"},
		"T23 in a header of its own":           {proxies, proxy, []string{"1.2.3.4", "198.51.100.7"}, "198.51.100.7"},
		"T23 a trusted address before":         {proxies, proxy, []string{"10.9.9.9, 198.51.100.7"}, "198.51.100.7"},
		"T23 behind two proxies":               {proxies, proxy, []string{"1.2.3.4, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"T23 a word that is no address before": {proxies, proxy, []string{"1.2.3.4, unknown, 198.51.100.7"}, "198.51.100.7"},
		"T23 a word that is no address last":   {proxies, proxy, []string{"198.51.100.7, unknown"}, "10.0.0.1"},
		"T23 behind that and a proxy":          {proxies, proxy, []string{"198.51.100.7, unknown, 10.0.0.2"}, "10.0.0.2"},
		"T23 proxies only":                     {proxies, proxy, []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"T23 an empty list":                    {proxies, proxy, []string{""}, "10.0.0.1"},
		"T23 no list":                          {proxies, proxy, nil, "10.0.0.1"},
		"with a port":                          {proxies, proxy, []string{"198.51.100.7:555"}, "198.51.100.7"},
		"IPv6":                                 {proxies, "[fd00::1]:1000", []string{"2001:db8::7"}, "2001:db8::7"},
		"IPv6 in brackets":                     {proxies, proxy, []string{"[2001:db8::7]"}, "2001:db8::7"},
		"IPv6 with a port":                     {proxies, proxy, []string{"[2001:db8::7]:555"}, "2001:db8::7"},
		"IPv4 in IPv6":                         {proxies, "[::ffff:10.0.0.1]:1000", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		"a zone":                               {proxies, proxy, []string{"fe80::1%eth0"}, "fe80::1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := through(t, row.trusted, row.peer, http.Header{"X-Forwarded-For": row.values})
			if got, ok := socketAddress(r); !ok || got.String() != row.want {
				t.Errorf("caller = %s, want %s", got, row.want)
			}
		})
	}
}

func TestGW18_forwardedHeadersOfStrangersAreRemoved(t *testing.T) {
	header := func() http.Header {
		return http.Header{
			"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"1"},
			"X-Forwarded-Prefix": {"/a"}, "X-Forwarded-Uri": {"/b"}, "Forwarded": {"for=1.2.3.4"}, "X-Real-Ip": {"1.2.3.4"},
			"x_forwarded_for": {"1.2.3.4"}, "X_real-IP": {"1.2.3.4"}, "Accept": {"*/*"}, "X-Forward": {"kept"},
		}
	}
	got := through(t, proxies, "203.0.113.9:1000", header()).Header
	if diff := cmp.Diff(http.Header{"Accept": {"*/*"}, "X-Forward": {"kept"}}, got); diff != "" {
		t.Errorf("GW-18 header behind (-want +got):\n%s", diff)
	}
	t.Run("GW-18/twin", func(t *testing.T) {
		if diff := cmp.Diff(header(), through(t, proxies, "10.0.0.1:1000", header()).Header); diff != "" {
			t.Errorf("a trusted proxy's header (-want +got):\n%s", diff)
		}
	})
}

func TestAddressThatIsNoneIsNoProxys(t *testing.T) {
	for _, peer := range []string{"", "@", "10.0.0.1", "pipe"} {
		if r := through(t, proxies, peer, http.Header{"X-Forwarded-For": {"1.2.3.4"}}); r.RemoteAddr != peer || len(r.Header) > 0 {
			t.Errorf("from %q: address %q, header %v", peer, r.RemoteAddr, r.Header)
		}
	}
}

func FuzzForwardedForNamesTheNearestStranger(f *testing.F) {
	f.Add("1.2.3.4, 10.0.0.2")
	f.Add("[fe80::1%25eth0]:80,,")
	f.Fuzz(func(t *testing.T, list string) {
		got, ok := forwardedFor(proxies, []string{list, "198.51.100.7", "10.0.0.2"})
		if !ok || got != netip.MustParseAddr("198.51.100.7") {
			t.Errorf("%q moves the caller to %s", list, got)
		}
		if got, ok := forwardedFor(proxies, []string{list}); ok && (!got.IsValid() || got.Is4In6() || got.Zone() != "") {
			t.Errorf("%q gives the address %s", list, got)
		}
	})
}
