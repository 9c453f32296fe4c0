import { App, IopaError } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'
import { addProblemCode } from '../src/resources/representation.ts'
import { RawPeer } from './raw-peer.ts'

const CONCISE = 'application/concise-problem-details+cbor'
const app = new App({ logger: false, limits: { body: 100_000 } })
  .use(router())
  .use(http({ port: 0 }))
  .use(coap({ port: 0, tcp: true }))
app.get('/range', () => new IopaError(422, 'out-of-range', "'level' is from 0 to 100.", { extensions: { errors: [{ pointer: '/level' }] } }))
app.get('/plain', () => new IopaError(409, 'in-use'))
app.get('/fails', () => Promise.reject(new Error('secret')))
app.put('/large', context => context.bytes())
app.get('/gone', () => (gone ? new IopaError(410, 'sold', 'It was sold.') : 'here'))
let gone = false

const urls: Record<string, URL> = {}
beforeAll(async () => {
  await app.listen()
  for (const { urls: all } of app.explain().transports) for (const url of all) urls[new URL(url).protocol.slice(0, -1)] = new URL(url)
})
afterAll(() => app.close({ timeout: 100 }))

/** What a client says of the errors of some requests. */
const errorsOver = async (protocol: string): Promise<unknown[]> => {
  const client = await app.connect(urls[protocol] as URL)
  const answers = [
    await client.get('/range'),
    await client.get('/plain'),
    await client.get('/fails'),
    await client.get('/nothing'),
    await client.delete('/range'),
    await client.put('/large', new Uint8Array(110_000))
  ]
  await client.close()
  return answers.map(({ status, error }) => [status, error?.code, error?.detail])
}

describe.each(['coap', 'coap+tcp'])('an error over %s', protocol => {
  test('has the code and the detail that it has over HTTP', async () => {
    const errors = await errorsOver(protocol)
    expect(errors[0]).toEqual([422, 'out-of-range', "'level' is from 0 to 100."])
    const web = (await errorsOver('http')) as [number, string, string | undefined][]
    // A text without detail is the title of the status.
    const titled = web.map(([status, code, detail]) => [status, code, detail || { 409: 'Conflict', 500: 'Internal Server Error' }[status]])
    // One of CoAP says less of a body that is too large.
    expect([errors.slice(0, -1), errors.at(-1)]).toEqual([titled.slice(0, -1), [413, 'body-too-large', expect.stringMatching(/^The body is larger/)]])
  })

  test('has all members as concise problem details', async () => {
    const client = await app.connect(urls[protocol] as URL)
    const { type, error } = await client.get('/range', { headers: { accept: CONCISE } })
    await client.close()
    expect([type, error?.status, error?.code, error?.detail, error?.extensions]).toEqual([
      CONCISE,
      422,
      'out-of-range',
      "'level' is from 0 to 100.",
      { errors: [{ pointer: '/level' }] }
    ])
  })

  test('has its code where it ends an observation', async () => {
    gone = false
    const client = await app.connect(urls[protocol] as URL)
    const codes: unknown[] = []
    const watch = async (): Promise<void> => {
      for await (const { ok } of client.observe('/gone')) {
        codes.push(ok)
        gone = true
        app.notify('/gone')
      }
    }
    await watch().catch(({ cause }: { cause: IopaError }) => codes.push(cause.code))
    await client.close()
    expect(codes).toEqual([true, 'sold'])
  })
})

test('is text for other clients, with the code in an elective option', async () => {
  const peer = await RawPeer.to(Number(urls['coap']?.port))
  const answer = await peer.ask(CODE.GET, { path: '/range' })
  peer.close()
  expect([Buffer.from(answer.payload).toString(), String(answer.options.get(65024) && Buffer.from(answer.options.get(65024)!))]).toEqual([
    "'level' is from 0 to 100.",
    'out-of-range'
  ])
})

test('leaves out a code that is no short word', () => {
  for (const code of ['', 'two words', 'ä', 'x'.repeat(65)]) expect(addProblemCode(new Options(), code).has(OPTION.PROBLEM_CODE)).toBe(false)
})
