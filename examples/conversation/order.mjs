// A durable order in Node without packages, as docs/conversation.md has it.
import { createServer } from 'node:http'

// Says what comes next, given what has been done. It does nothing itself.
function ask(event, steps) {
  if (!steps.charge) return { steps: [{ id: 'charge', run: { amount: event.data.amount } }] }
  if (steps.charge.error) return { return: { status: 'declined', reason: steps.charge.error.message } }
  if (!steps.settle) return { steps: [{ id: 'settle', sleep: '1s' }] }
  if (!steps.mail || !steps.ship) return { steps: [{ id: 'mail', run: null }, { id: 'ship', run: null }] }
  return { return: { status: 'shipped', charge: steps.charge.data.id } }
}

// Does one step. It is called once for each, again only if that failed.
function run(step, input, runId) {
  if (step === 'charge' && input.amount > 1000) {
    return [402, { name: 'CardDeclined', message: 'the card was declined' }]
  }
  return [200, { id: `${step}-${runId}` }]
}

createServer(async (request, response) => {
  let text = ''
  for await (const part of request) text += part
  const q = JSON.parse(text)
  const [status, answer] = q.run ? run(q.run, q.input, q.ctx.runId) : [200, ask(q.event, q.steps)]
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify(answer))
}).listen(Number(process.env.PORT ?? 9101), '127.0.0.1')
