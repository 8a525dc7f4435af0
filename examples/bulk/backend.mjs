// Processes lists of items, in Node without packages: plain HTTP, it knows nothing of Inngest.
import { createServer } from 'node:http'

createServer(async (request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify(body))
  }
  if (request.method !== 'POST' || request.url !== '/process') {
    return answer(404, { message: `no ${request.method} ${request.url}` })
  }
  let text = ''
  for await (const part of request) text += part
  const { items } = JSON.parse(text)
  if (items.length > 100) return answer(413, { message: 'at most 100 items' })
  answer(200, { processed: items.length })
}).listen(Number(process.env.PORT ?? 9002), '127.0.0.1')
