"""A durable order in Python's standard library, as docs/conversation.md has it."""
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def ask(event, steps):
    """Says what comes next, given what has been done. It does nothing itself."""
    if "charge" not in steps:
        return {"steps": [{"id": "charge", "run": {"amount": event["data"]["amount"]}}]}
    if "error" in steps["charge"]:
        return {"return": {"status": "declined", "reason": steps["charge"]["error"]["message"]}}
    if "settle" not in steps:
        return {"steps": [{"id": "settle", "sleep": "1s"}]}
    if "mail" not in steps or "ship" not in steps:
        return {"steps": [{"id": "mail", "run": None}, {"id": "ship", "run": None}]}
    return {"return": {"status": "shipped", "charge": steps["charge"]["data"]["id"]}}

def run(step, given, run_id):
    """Does one step. It is called once for each, again only if that failed."""
    if step == "charge" and given["amount"] > 1000:
        return 402, {"name": "CardDeclined", "message": "the card was declined"}
    return 200, {"id": f"{step}-{run_id}"}

class Backend(BaseHTTPRequestHandler):
    def do_POST(self):
        q = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "run" in q:
            status, answer = run(q["run"], q.get("input"), q["ctx"]["runId"])
        else:
            status, answer = 200, ask(q["event"], q["steps"])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9101"))), Backend).serve_forever()
