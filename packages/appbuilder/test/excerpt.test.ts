import { App } from '@iopa/appbuilder'
import type { SealedAnswer } from '@iopa/context'
import type { RandomAccessBody } from '@iopa/transport'
import { describe, expect, test } from 'vitest'

const LIMIT = 100

/** A body of which parts can be read, and that counts what is open. */
const bodyOf = (
  size: number,
  read?: () => Promise<Uint8Array>
): RandomAccessBody & AsyncDisposable & { closed: number; read: RandomAccessBody['read'] } => ({
  size,
  closed: 0,
  read: read ?? (async (start, end) => new Uint8Array(Math.min(end, size) - start).fill(7)),
  async *[Symbol.asyncIterator]() {
    yield new Uint8Array(size).fill(7)
  },
  async [Symbol.asyncDispose]() {
    this.closed++
  }
})

/** An app with a body at /big file, and the answers that an observer of it gets. */
const observed = async (body: () => AsyncIterable<Uint8Array>, query = '', status = 200) => {
  const app = new App({ logger: false, limits: { body: LIMIT } }).use(context => {
    context.response.status = status
    context.response.type = 'text/plain; charset="utf-8"'
    context.response.headers = { etag: '"v"', 'content-encoding': 'br', 'Accept-Ranges': 'bytes', 'x-mine': 'yes' }
    context.response.body = body()
    return undefined
  })
  const answers: SealedAnswer[] = []
  const context = app.create({ 'iopa.Path': '/big file', 'iopa.QueryString': query, 'iopa.Observe': true })
  const { active } = await app.host().observe(context, answer => void answers.push(answer), { excerpt: 1024 })
  return { app, context, answers, active }
}

describe('observing a body that is larger than the limit', () => {
  test('tells a link to it with its size, its type and its validators, and closes it', async () => {
    const bodies: ReturnType<typeof bodyOf>[] = []
    const { app, context, answers, active } = await observed(() => (bodies.push(bodyOf(5000)), bodies.at(-1)!), 'a=<b>&c=%20')
    expect(active).toBe(true)
    app.notify('/big file')
    while (answers.length < 2) await new Promise(setImmediate)
    for (const answer of answers) {
      expect([answer.status, answer.type, answer.payload]).toEqual([
        200,
        'application/link-format',
        '</big%20file?a=%3Cb%3E&c=%20>;type="text/plain; charset=\\"utf-8\\"";sz=5000'
      ])
      expect(answer.headerPairs).toEqual(['etag', '"v"', 'x-mine', 'yes'])
      expect(answer.excerpt).toEqual({ type: 'text/plain; charset="utf-8"', size: 5000, start: new Uint8Array(1024).fill(7) })
    }
    expect(bodies.map(({ closed }) => closed)).toEqual([1, 1])
    await context.end()
    expect(app.live).toBe(0)
  })

  test('does so although its beginning cannot be read just now', async () => {
    const body = bodyOf(5000, () => Promise.reject(new Error('it changes')))
    const { context, answers, active } = await observed(() => body)
    expect([active, answers[0]!.status, answers[0]!.excerpt!.start.length, body.closed]).toEqual([true, 200, 0, 1])
    await context.end()
  })

  test('of one that fits tells the body itself', async () => {
    const { context, answers } = await observed(() => bodyOf(LIMIT))
    expect([answers[0]!.payloadBytes.length, answers[0]!.excerpt]).toEqual([LIMIT, null])
    await context.end()
  })

  test('of an error is no state, and ends the observation', async () => {
    const { app, answers, active } = await observed(() => bodyOf(5000), '', 404)
    expect([answers[0]!.ok, answers[0]!.excerpt, active]).toEqual([false, null, false])
    await app.close()
  })

  test('of a stream of unknown length ends with 413', async () => {
    const stream = async function* (): AsyncGenerator<Uint8Array> {
      for (;;) yield new Uint8Array(60)
    }
    const { app, answers, active } = await observed(stream)
    expect([answers[0]!.status, active]).toEqual([413, false])
    await app.close()
    expect(app.live).toBe(0)
  })
})
