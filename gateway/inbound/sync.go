package inbound

import (
	"bytes"
	"context"
	"time"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
)

// sync hands a sync request to the registry. Nothing of its head but the three
// texts here gets further: it is no call.
func (s *Server) sync(ctx context.Context, x *exchange) *refusal {
	a, err := x.route.Syncer.Put(ctx, apps.Put{
		App:        x.route.App,
		Signed:     x.signed,
		Body:       x.call.Body,
		Query:      string(bytes.TrimPrefix(x.head.query, []byte("?"))),
		SyncKind:   string(x.head.syncKind),
		ServerKind: string(x.head.serverKind),
	})
	x.answered = time.Now()
	if err != nil {
		return x.failed(ctx, err)
	}
	x.answer = a
	return nil
}
