// Package grpctoken puts the tokens of package tokensource on calls of gRPC.
//
//	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(tls),
//		grpc.WithPerRPCCredentials(grpctoken.Credentials(source)),
//		grpc.WithUnaryInterceptor(grpctoken.Repeat(source)))
package grpctoken

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/doorward/doorward/tokensource"
)

// Credentials puts a token on every call. They refuse to work without transport
// security.
func Credentials(source *tokensource.Source) credentials.PerRPCCredentials {
	return perRPC{source}
}

type perRPC struct{ source *tokensource.Source }

// GetRequestMetadata is the field authorization.
func (p perRPC) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := p.source.Token(ctx)
	if err != nil {
		return nil, status.Error(codes.Unavailable, fmt.Sprintf("call without an access token: %v", err))
	}
	if sent, ok := ctx.Value(sentKey{}).(*atomic.Pointer[string]); ok {
		sent.Store(&token)
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity is true: a token must not be read on its way.
func (perRPC) RequireTransportSecurity() bool { return true }

// sentKey is where a call notes the token that it was sent with.
type sentKey struct{}

// Repeat is an interceptor for connections with Credentials: a call that the server
// refuses with the status Unauthenticated, and with a field www-authenticate that
// says invalid_token (RFC 6750 §3.1), is repeated once with a new token. Streams
// are never repeated.
func Repeat(source *tokensource.Source) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		var header, trailer metadata.MD
		var sent atomic.Pointer[string]
		marked := context.WithValue(ctx, sentKey{}, &sent)
		options = append(options[:len(options):len(options)], grpc.Header(&header), grpc.Trailer(&trailer))
		err := invoke(marked, method, request, reply, connection, options...)
		used := sent.Load()
		if status.Code(err) != codes.Unauthenticated || used == nil || !refusesToken(header, trailer) {
			return err
		}
		source.Invalidate(*used)
		if token, failure := source.Token(ctx); failure != nil || token == *used {
			return err //nolint:nilerr // the server's answer says more
		}
		return invoke(marked, method, request, reply, connection, options...)
	}
}

func refusesToken(fields ...metadata.MD) bool {
	for _, field := range fields {
		for _, challenge := range field.Get("www-authenticate") {
			if strings.HasPrefix(challenge, "Bearer ") && strings.Contains(challenge, `error="invalid_token"`) {
				return true
			}
		}
	}
	return false
}
