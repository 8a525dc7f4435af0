"""A shop in Python's standard library: plain HTTP, it knows nothing of Inngest."""
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def handle(method, path, body):
    match method, path.strip("/").split("/"):
        case "POST", ["validate"]:
            return (200, {"valid": True}) if body["items"] else (422, {"message": "the order is empty"})
        case "POST", ["inventory", "check"]:
            missing = [item for item in body["items"] if item == "unicorn"]
            return 200, {"available": not missing, "missing": missing}
        case "POST", ["payments"]:  # 4xx: no use in trying again
            if body["amount"] > 1000:
                return 402, {"name": "CardDeclined", "message": "the card was declined"}
            return 200, {"id": "pay-" + body["orderId"]}
        case "PUT", ["orders", order, "status"]:
            return 200, {"orderId": order, "status": body["status"]}
    return 404, {"message": f"no {method} {path}"}

class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = handle(self.command, self.path, body)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_PUT = do_POST

ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9001"))), Shop).serve_forever()
