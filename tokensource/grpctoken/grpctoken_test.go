package grpctoken_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/doorward/doorward/tokensource"
	"github.com/doorward/doorward/tokensource/grpctoken"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// health refuses tokens as it is told, and writes down what it got.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	mu      sync.Mutex
	refused map[string]bool
	code    codes.Code
	field   string
	got     []string
}

func (h *health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fields, _ := metadata.FromIncomingContext(ctx)
	token := fmt.Sprint(fields.Get("authorization"))
	h.got = append(h.got, token)
	if h.refused[token] {
		_ = grpc.SetHeader(ctx, metadata.Pairs("www-authenticate", h.field))
		return nil, status.Error(h.code, "refused")
	}
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

// connect starts the server, with TLS, and a token endpoint that gives token-1 and so on.
func connect(t *testing.T, h *health) grpc_health_v1.HealthClient {
	t.Helper()
	var issued atomic.Int64
	tokens := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":600,"token_type":"Bearer"}`, issued.Add(1))
	}))
	t.Cleanup(tokens.Close)
	source, err := tokensource.New(tokensource.Config{TokenURL: tokens.URL + "/token", ClientID: "c", ClientSecret: "s", HTTPClient: tokens.Client()})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: tokens.TLS.Certificates})))
	grpc_health_v1.RegisterHealthServer(server, h)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	roots := x509.NewCertPool()
	roots.AddCert(tokens.Certificate())
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})),
		grpc.WithPerRPCCredentials(grpctoken.Credentials(source)), grpc.WithUnaryInterceptor(grpctoken.Repeat(source)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close(); server.Stop(); <-done })
	return grpc_health_v1.NewHealthClient(connection)
}

func TestCallIsRepeatedOnceWithANewToken(t *testing.T) {
	const one, two, invalid = "[Bearer token-1]", "[Bearer token-2]", `Bearer error="invalid_token"`
	for name, row := range map[string]struct {
		health *health
		want   codes.Code
		got    []string
	}{
		"good token":        {&health{}, codes.OK, []string{one}},
		"refused token":     {&health{refused: map[string]bool{one: true}, code: codes.Unauthenticated, field: invalid}, codes.OK, []string{one, two}},
		"both refused":      {&health{refused: map[string]bool{one: true, two: true}, code: codes.Unauthenticated, field: invalid}, codes.Unauthenticated, []string{one, two}},
		"permission denied": {&health{refused: map[string]bool{one: true}, code: codes.PermissionDenied, field: invalid}, codes.PermissionDenied, []string{one}},
		"other challenge":   {&health{refused: map[string]bool{one: true}, code: codes.Unauthenticated, field: "Bearer"}, codes.Unauthenticated, []string{one}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connect(t, row.health).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
			if status.Code(err) != row.want {
				t.Errorf("%v, want %s", err, row.want)
			}
			if diff := cmp.Diff(row.got, row.health.got); diff != "" {
				t.Errorf("tokens that arrived (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokenDoesNotGoInClear(t *testing.T) {
	source, err := tokensource.New(tokensource.Config{TokenURL: "https://api.example.com/token", ClientID: "c", ClientSecret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := grpc.NewClient("127.0.0.1:1", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(grpctoken.Credentials(source))); err == nil {
		t.Error("credentials work without transport security")
	}
}

func ExampleCredentials() {
	source, err := tokensource.New(tokensource.Config{
		TokenURL: "https://api.example.com/auth/open/connect/token", ClientID: "sandbox-round-apple-123", ClientSecret: "from a secret store",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	connection, err := grpc.NewClient("api.example.com:443",
		grpc.WithTransportCredentials(credentials.NewTLS(nil)),
		grpc.WithPerRPCCredentials(grpctoken.Credentials(source)),
		grpc.WithUnaryInterceptor(grpctoken.Repeat(source)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer connection.Close()
	// Output:
}
