package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/gateway"
)

// letters are the dead letters of a gateway that runs, or of one that does not.
type letters interface {
	List(ctx context.Context, limit int) ([]gateway.Letter, error)
	Show(ctx context.Context, id string) (gateway.Letter, error)
	Replay(ctx context.Context, id string) error
	Drop(ctx context.Context, id string) error
}

// with hands the letters that the flags name to do.
func (f *spoolFlags) with(ctx context.Context, e env, do func(context.Context, letters) error) error {
	ctx, cancel := context.WithTimeout(ctx, f.admin.timeout)
	defer cancel()
	if !f.offline {
		if f.config != "" {
			return usageError{fmt.Errorf("spool: --config is for --offline; a running gateway is found by --address")}
		}
		client, err := f.admin.client(e)
		if err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		return do(ctx, runningLetters{client})
	}
	cfg, err := config.Load(config.Sources{File: f.config, Env: e.environ})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil)) // errors come back, and repairs are told by the gateway's next start
	s, closeAll, err := gateway.OpenSpool(ctx, cfg, log)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	defer closeAll()
	return do(ctx, storedLetters{s})
}

// runningLetters asks a running gateway.
type runningLetters struct{ admin adminClient }

func (l runningLetters) List(ctx context.Context, limit int) (list []gateway.Letter, err error) {
	return list, l.admin.control(ctx, "spool-ls", gateway.LetterRequest{Limit: limit}, &list)
}

func (l runningLetters) Show(ctx context.Context, id string) (letter gateway.Letter, err error) {
	return letter, l.admin.control(ctx, "spool-show", gateway.LetterRequest{ID: id}, &letter)
}

func (l runningLetters) Replay(ctx context.Context, id string) error {
	return l.admin.control(ctx, "spool-replay", gateway.LetterRequest{ID: id}, nil)
}

func (l runningLetters) Drop(ctx context.Context, id string) error {
	return l.admin.control(ctx, "spool-drop", gateway.LetterRequest{ID: id}, nil)
}

// storedLetters reads the spool itself.
type storedLetters struct{ *spool.Spool }

func (l storedLetters) List(ctx context.Context, limit int) ([]gateway.Letter, error) {
	list, err := l.Spool.List(ctx, limit)
	out := make([]gateway.Letter, len(list))
	for i := range list {
		out[i] = gateway.LetterOf(list[i])
	}
	return out, err
}

func (l storedLetters) Show(ctx context.Context, id string) (gateway.Letter, error) {
	letter, err := l.Spool.Show(ctx, id)
	return gateway.LetterOf(letter), err
}
