// Package grpcguard guards services of gRPC with package resourceserver.
//
//	permissions := grpcguard.Permissions{"/auth.Sessions/Get": {"auth.sessions.read"}}
//	server := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(grpcguard.Unary(guard, permissions)),
//		grpc.ChainStreamInterceptor(grpcguard.Stream(guard, permissions)))
//
// What must stay true: a method that is not named is refused.
package grpcguard

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/doorward/doorward/resourceserver"
)

// Permissions say for each full method name, "/package.Service/Method", which
// permissions a call needs, all of them. With an empty list a good token is
// enough. Methods that are not in the map are refused.
type Permissions map[string][]string

// Unary guards calls. Behind it resourceserver.FromContext gives the token. A
// refusal has the status Unauthenticated, PermissionDenied or Unavailable, and a
// challenge (RFC 6750 §3) in the header www-authenticate.
func Unary(guard *resourceserver.Guard, permissions Permissions) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		ctx, err := authorize(ctx, guard, permissions, info.FullMethod)
		if err != nil {
			return nil, err
		}
		return handle(ctx, request)
	}
}

// Stream guards streams as Unary guards calls. The token is looked at when the
// stream begins.
func Stream(guard *resourceserver.Guard, permissions Permissions) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		ctx, err := authorize(stream.Context(), guard, permissions, info.FullMethod)
		if err != nil {
			return err
		}
		return handle(server, &guarded{ServerStream: stream, ctx: ctx})
	}
}

// guarded is a stream whose context has the token.
type guarded struct {
	grpc.ServerStream
	ctx context.Context
}

func (g *guarded) Context() context.Context { return g.ctx }

func authorize(ctx context.Context, guard *resourceserver.Guard, permissions Permissions, method string) (context.Context, error) {
	needed, named := permissions[method]
	if !named {
		return ctx, status.Error(codes.PermissionDenied, "no permission is set for this method")
	}
	header := http.Header{}
	fields, _ := metadata.FromIncomingContext(ctx)
	for _, name := range []string{"authorization", "doorward-assertion"} {
		for _, value := range fields.Get(name) {
			header.Add(name, value)
		}
	}
	credentials, err := guard.Credentials(header)
	if err != nil {
		return ctx, refusal(ctx, err)
	}
	token, err := guard.Authorize(ctx, credentials, needed...)
	if err != nil {
		return ctx, refusal(ctx, err)
	}
	return resourceserver.NewContext(ctx, token), nil
}

func refusal(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*resourceserver.Error](err)
	if !ok {
		return status.Error(codes.Unavailable, "the call cannot be decided now, try again later")
	}
	code := codes.Unauthenticated
	switch refused.Status {
	case http.StatusForbidden:
		code = codes.PermissionDenied
	case http.StatusServiceUnavailable:
		return status.Error(codes.Unavailable, refused.Description)
	}
	// Fails only where the answer has begun, which it has not.
	_ = grpc.SetHeader(ctx, metadata.Pairs("www-authenticate", refused.Challenge("")))
	return status.Error(code, refused.Description)
}
