package devserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// runClaims let their bearer read one run's output (recordings 125 and 126).
type runClaims struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Expires int64  `json:"exp"`
	Issued  int64  `json:"iat"`
	Env     string `json:"Env"`
	RunID   string `json:"RunID"`
}

// realtimeClaims let their bearer subscribe to topics, or publish (recording 92).
type realtimeClaims struct {
	Issuer  string  `json:"iss"`
	Subject string  `json:"sub"`
	Expires int64   `json:"exp"`
	Issued  int64   `json:"iat"`
	ID      string  `json:"jti"`
	Env     string  `json:"env"`
	Topics  []topic `json:"topics"`
	Publish bool    `json:"publish"`
}

const (
	runIssuer      = "api.inngest.com"
	runSubject     = "run-claim"
	realtimeIssuer = "rt.inngest.com"
	runClaimLife   = time.Hour
	subscribeLife  = time.Minute
	streamLife     = 16 * time.Minute // of the token in the answer to a new durable run
)

// jwtHead is {"alg":"HS256","typ":"JWT"}, the only head that is taken.
const jwtHead = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

var errToken = errors.New("the token is not ours or has expired")

// token signs claims. Tokens live by the wall clock, as signatures do: who
// gets one keeps it outside of the server.
func (s *Server) token(claims any) string {
	text := jwtHead + "." + base64.RawURLEncoding.EncodeToString(marshal(claims))
	return text + "." + base64.RawURLEncoding.EncodeToString(s.tokenMAC(text))
}

func (s *Server) tokenMAC(text string) []byte {
	h := hmac.New(sha256.New, s.tokenKey)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// readToken verifies a token and decodes its claims.
func (s *Server) readToken(token, issuer string, into any) error {
	text, mac, ok := cutLast(token, '.')
	head, body, found := strings.Cut(text, ".")
	sum, err := base64.RawURLEncoding.DecodeString(mac)
	if !ok || !found || head != jwtHead || err != nil || !hmac.Equal(sum, s.tokenMAC(text)) {
		return errToken
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return errToken
	}
	var common struct {
		Issuer  string `json:"iss"`
		Expires int64  `json:"exp"`
	}
	if json.Unmarshal(raw, &common) != nil || common.Issuer != issuer || time.Now().Unix() >= common.Expires {
		return errToken
	}
	return json.Unmarshal(raw, into)
}

func cutLast(text string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(text, sep); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}

func (s *Server) runToken(run string) string {
	now := time.Now()
	return s.token(runClaims{runIssuer, runSubject, now.Add(runClaimLife).Unix(), now.Unix(), envID, run})
}

func (s *Server) subscribeToken(topics []topic, life time.Duration) string {
	now := time.Now()
	for i := range topics {
		topics[i].Env = envID
	}
	return s.token(realtimeClaims{
		Issuer: realtimeIssuer, Subject: accountID, Expires: now.Add(life).Unix(), Issued: now.Unix(),
		ID: s.newID(), Env: envID, Topics: topics,
	})
}
