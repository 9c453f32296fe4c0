import { App, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { originOf } from '@iopa/constants'
import { expect, test } from 'vitest'
import { type UploadHome, uploadHome } from './upload-home.ts'

/** A body that is read in parts, and says how far. */
const parts = (size: number) => {
  const state = { read: 0, closed: false }
  const read = async (start: number, end: number) => {
    state.read = Math.max(state.read, end)
    return new Uint8Array(end - start).fill(7)
  }
  const body = {
    size,
    read,
    async *[Symbol.asyncIterator]() {
      yield await read(0, size)
    }
  }
  return { state, body }
}

const connect = async ({ clock, network }: UploadHome, scheme: string) => {
  const app = new App({ logger: false, clock }).use(coap({ clock, network: network.machine('10.0.0.2') }))
  const client = await clock.runUntil(app.connect(`${scheme}://10.0.0.1`))
  return { client, [Symbol.asyncDispose]: () => clock.runUntil(app.close({ timeout: 0 })) }
}

for (const scheme of ['coap', 'coap+tcp'])
  test(`an answer with coap.StreamAnswer is fetched while it is read, over ${scheme}`, async () => {
    await using home = uploadHome({}, { tcp: true })
    const size = 3_000_000
    const { state, body } = parts(size)
    home.app.get('/large', () => reply(200, body, { etag: '"one"' }))
    await home.listen()
    await using link = await connect(home, scheme)
    const answer = await home.clock.runUntil(link.client.send({ 'iopa.Path': '/large', 'coap.StreamAnswer': true }))
    expect([answer.status, answer.headers.get('etag'), answer['coap.Message']?.options.uint(28)]).toEqual([200, '"one"', size])
    let got = 0
    let ahead = 0
    await home.clock.runUntil(
      (async () => {
        for await (const chunk of answer.body) {
          got += chunk.length
          ahead = Math.max(ahead, state.read - got)
          if (scheme === 'coap' && got > 20_000) break
        }
      })()
    )
    expect(ahead).toBeLessThanOrEqual(scheme === 'coap' ? 1024 : 1024 * 1024)
    await home.clock.advance(1000)
    expect(scheme === 'coap' ? state.read < 23_000 : got === size).toBe(true)
  })

test('a streamed answer that changes fails while it is read', async () => {
  await using home = uploadHome()
  let version = 1
  home.app.get('/large', () => reply(200, 'x'.repeat(5000), { etag: `"${version}"` }))
  await home.listen()
  await using link = await connect(home, 'coap')
  const send = () => home.clock.runUntil(link.client.send({ 'iopa.Path': '/large', 'coap.StreamAnswer': true }))
  const first = await send()
  version = 2
  // Another request replaces what is kept of the first answer.
  await send()
  const error: unknown = await home.clock.runUntil(first.text().catch((failure: unknown) => failure))
  expect(error).toMatchObject({ code: 'unstable-answer' })
  // An app that answers with what it reads says 502 of its own, and nothing of the server.
  expect(originOf(error)).toBe('upstream')
})

test('a streamed answer of one block is there at once', async () => {
  await using home = uploadHome()
  home.app.get('/short', () => 'short')
  await home.listen()
  await using link = await connect(home, 'coap')
  const answer = await home.clock.runUntil(link.client.send({ 'iopa.Path': '/short', 'coap.StreamAnswer': true }))
  expect([await answer.text(), await answer.text()]).toEqual(['short', 'short'])
})
