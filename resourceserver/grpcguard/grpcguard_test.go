package grpcguard_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/doorward/doorward/resourceserver"
	"github.com/doorward/doorward/resourceserver/grpcguard"
	"github.com/doorward/doorward/resourceserver/resourceservertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	check = "/grpc.health.v1.Health/Check"
	watch = "/grpc.health.v1.Health/Watch"
)

// health is a service that answers whoever has a token in the context.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if token, ok := resourceserver.FromContext(ctx); !ok || token.ClientID != resourceservertest.ClientID {
		return nil, status.Error(codes.Internal, "no token in the context")
	}
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

func (health) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	if _, ok := resourceserver.FromContext(stream.Context()); !ok {
		return status.Error(codes.Internal, "no token in the context")
	}
	return stream.Send(&grpc_health_v1.HealthCheckResponse{})
}

// connect starts a server behind the guard.
func connect(t *testing.T, issuer *resourceservertest.Issuer, permissions grpcguard.Permissions) grpc_health_v1.HealthClient {
	t.Helper()
	guard, err := resourceserver.New(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(grpcguard.Unary(guard, permissions)), grpc.StreamInterceptor(grpcguard.Stream(guard, permissions)))
	grpc_health_v1.RegisterHealthServer(server, health{})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close(); server.Stop(); <-done })
	return grpc_health_v1.NewHealthClient(connection)
}

func TestCallsNeedTheirPermission(t *testing.T) {
	issuer := resourceservertest.New(t)
	client := connect(t, issuer, grpcguard.Permissions{check: {"health.check"}, watch: {"health.watch"}})
	reader := "Bearer " + issuer.Token(resourceservertest.Claims{Permissions: []string{"health.check", "health.watch"}})
	for name, row := range map[string]struct {
		fields    []string
		want      codes.Code
		challenge string
	}{
		"good token":    {[]string{"authorization", reader}, codes.OK, ""},
		"none":          {nil, codes.Unauthenticated, "Bearer"},
		"bad token":     {[]string{"authorization", "Bearer x"}, codes.Unauthenticated, `Bearer error="invalid_token", error_description="the token is malformed"`},
		"two tokens":    {[]string{"authorization", reader, "authorization", reader}, codes.Unauthenticated, `Bearer error="invalid_request", error_description="send the token in one Authorization header and nowhere else"`},
		"no permission": {[]string{"authorization", "Bearer " + issuer.Token(resourceservertest.Claims{})}, codes.PermissionDenied, ""},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), row.fields...)
		var header metadata.MD
		if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&header)); status.Code(err) != row.want {
			t.Errorf("%s: %v, want %s", name, err, row.want)
		}
		if got := header.Get("www-authenticate"); row.challenge != "" && (len(got) != 1 || got[0] != row.challenge) {
			t.Errorf("%s: challenge %q, want %q", name, got, row.challenge)
		}
		stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != row.want {
			t.Errorf("%s: stream %v, want %s", name, err, row.want)
		}
	}
}

func TestMethodThatIsNotNamedIsRefused(t *testing.T) {
	issuer := resourceservertest.New(t)
	client := connect(t, issuer, grpcguard.Permissions{check: nil})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+issuer.Token(resourceservertest.Claims{}))
	stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("%v, want %s", err, codes.PermissionDenied)
	}
	t.Run("twin", func(t *testing.T) {
		if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Error(err)
		}
	})
}

func TestIssuerThatIsAwayMakesCallsUnavailable(t *testing.T) {
	issuer := resourceservertest.New(t)
	issuer.SetAway(true)
	client := connect(t, issuer, grpcguard.Permissions{check: nil})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+issuer.Token(resourceservertest.Claims{}))
	if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("%v, want %s", err, codes.Unavailable)
	}
}

func ExampleUnary() {
	guard, err := resourceserver.New(resourceserver.Config{Issuer: "https://api.example.com/auth/open", Audience: "https://api.example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	permissions := grpcguard.Permissions{"/grpc.health.v1.Health/Check": {"health.check"}}
	server := grpc.NewServer(grpc.UnaryInterceptor(grpcguard.Unary(guard, permissions)), grpc.StreamInterceptor(grpcguard.Stream(guard, permissions)))
	defer server.Stop()
	// Output:
}
