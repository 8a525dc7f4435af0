package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// Invoke starts one run of a function as soon as it is registered and waits for
// the run's end; the Dev must run meanwhile. The function is named by its full
// id, app id first, or by its own where only one app has it. It is given an
// event with the data, of Inngest's own name for an invocation, or of the name.
func (d *Dev) Invoke(ctx context.Context, function, event string, data json.RawMessage) (devserver.Run, error) {
	select {
	case <-d.ready:
	case <-ctx.Done():
		return devserver.Run{}, ctx.Err()
	}
	slug, err := d.awaitFunction(ctx, function)
	if err != nil {
		return devserver.Run{}, err
	}
	var id string
	if event == "" {
		id, err = d.postInvocation(ctx, slug, data)
	} else {
		id, err = d.server.SendEvent(ctx, event, data)
	}
	if err != nil {
		return devserver.Run{}, err
	}
	runs, err := d.server.WaitRunsOf(ctx, id)
	if err != nil {
		return devserver.Run{}, err
	}
	for _, run := range runs {
		if run.Function == slug {
			return run, nil
		}
	}
	return devserver.Run{}, fmt.Errorf("event %s does not start %s", event, slug)
}

// Away returns the endpoints of apps and functions that take no calls now.
func (d *Dev) Away() []string {
	var list []string
	for _, u := range d.gateway.upstreams {
		for _, e := range u.Status() {
			if !e.DownSince.IsZero() && !slices.Contains(list, e.Endpoint) {
				list = append(list, e.Endpoint)
			}
		}
	}
	return list
}

// awaitFunction waits until a function is registered and returns its full id.
func (d *Dev) awaitFunction(ctx context.Context, name string) (slug string, err error) {
	var known []string
	waitErr := d.server.WaitFor(ctx, func(apps []devserver.App, _ []devserver.Run) bool {
		var found []string
		known = nil
		registered := 0
		for _, a := range apps {
			if len(a.Functions) > 0 {
				registered++
			}
			for _, f := range a.Functions {
				known = append(known, f.Slug)
				if f.Slug == name || f.Slug == a.Name+"-"+name {
					found = append(found, f.Slug)
				}
			}
		}
		switch {
		case slices.Contains(found, name):
			slug = name
		case len(found) == 1:
			slug = found[0]
		case len(found) > 1:
			err = fmt.Errorf("%q is a function of several apps: %s", name, strings.Join(found, ", "))
		case registered >= d.config.served():
			err = fmt.Errorf("there is no function %q; there are %s", name, strings.Join(known, ", "))
			if d.app != nil {
				err = fmt.Errorf("%w, of the sample app: no configuration names an app or a function (--config)", err)
			}
		}
		return slug != "" || err != nil
	})
	switch {
	case err != nil:
	case errors.Is(waitErr, context.DeadlineExceeded) && len(known) == 0:
		err = errors.New("no app was registered in time: does it run?")
	case errors.Is(waitErr, context.DeadlineExceeded):
		err = fmt.Errorf("function %q was not registered in time; there are %s", name, strings.Join(known, ", "))
	default:
		err = waitErr
	}
	return slug, err
}

// postInvocation starts a run and returns the id of its event.
func (d *Dev) postInvocation(ctx context.Context, slug string, data json.RawMessage) (string, error) {
	to := urlOf(d.inngest) + "/invoke/" + url.PathEscape(slug)
	body := `{"data":` + string(data) + `}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Close = true // there is no second one
	req.Header.Set("Authorization", "Bearer "+d.config.eventKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("development server: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", fmt.Errorf("development server: %w", err)
	}
	var answer struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.ID == "" {
		return "", fmt.Errorf("development server: %s: %s", resp.Status, oneLine(string(text)))
	}
	return answer.ID, nil
}
