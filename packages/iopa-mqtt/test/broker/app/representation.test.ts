import { App, IopaError, type Limits } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { connectAsync, type IPublishPacket, type MqttClient } from 'mqtt'
import { afterEach, describe, expect, test } from 'vitest'
import { mqtt } from '../../../src/mqtt.ts'
import { closeLabs } from '../lab.ts'

const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  expect(await closeLabs()).toBe(0)
})

const routed = (limits: Partial<Limits>) => new App({ logger: false }).use(router()).use(mqtt({ port: 0, limits }))

/** An app on a real port. */
const served = async (build: (app: ReturnType<typeof routed>) => unknown, limits: Partial<Limits> = {}): Promise<number> => {
  const app = routed(limits)
  build(app)
  const [listener] = await app.listen()
  closing.push(async () => {
    await app.close({ timeout: 100 })
    expect(app.live).toBe(0)
  })
  return Number(listener?.url.port)
}

const client = async (port: number): Promise<MqttClient> => {
  const made = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 0 })
  closing.push(() => made.endAsync(true))
  return made
}

async function* failing(chunks: number, error: Error): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < chunks; sent++) yield Buffer.from('part ')
  throw error
}

const webStream = (): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: controller => controller.enqueue(Buffer.from('part ')),
    pull: async controller => controller.error(new Error('secret'))
  })

const SILENT = (): AsyncIterable<Uint8Array> => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) })

describe('a request whose streamed answer fails gets the problem as reply, and its code:', () => {
  const cases: [string, () => unknown, number, number][] = [
    ['at once', () => failing(0, new Error('secret')), 500, 0x80],
    ['after a chunk', () => failing(1, new Error('secret')), 500, 0x80],
    ['after many chunks', () => failing(100, new Error('secret')), 500, 0x80],
    ['as a web stream', webStream, 500, 0x80],
    ["with the stream's own problem", () => failing(1, new IopaError(409, 'busy', 'The sensor is busy.')), 409, 0x83],
    ['by silence', SILENT, 504, 0x80],
    ['by its length', () => failing(1_000_000, new Error('never')), 500, 0x80]
  ]

  test.each(
    cases.flatMap(([name, make, status, code]) => [1, 2].flatMap(qos => ['GET', 'POST'].map(method => ({ name, make, status, code, qos, method }))))
  )('$name, $method, QoS $qos', async ({ make, status, code, qos, method }) => {
    const answer = (): unknown => make()
    const port = await served(app => app.get('/stream', answer).post('/stream', answer), { requestTimeout: 300, body: 4096 })
    const asker = await client(port)
    await asker.subscribeAsync('replies', { qos: 1 })
    const reply = new Promise<[string, Buffer, IPublishPacket]>(resolve => asker.once('message', (...all) => resolve(all)))
    const acknowledged = asker
      .publishAsync('stream', method === 'GET' ? '' : 'x', {
        qos: qos as 1 | 2,
        properties: { responseTopic: 'replies', correlationData: Buffer.from('c'), userProperties: { method } }
      })
      .then(
        packet => (packet as { reasonCode?: number } | undefined)?.reasonCode ?? 0,
        (error: { code: number }) => error.code
      )
    const [, payload, packet] = await reply
    expect(await acknowledged).toBe(code)
    expect(packet.properties).toMatchObject({
      correlationData: Buffer.from('c'),
      contentType: 'application/problem+json',
      userProperties: { status: String(status) }
    })
    expect(JSON.parse(payload.toString())).toMatchObject({ status })
    expect(payload.toString()).not.toContain('secret')
  })

  test('a subscription to it is refused', async () => {
    const port = await served(app => app.get('/stream', () => failing(1, new Error('secret'))))
    const asker = await client(port)
    const granted = await asker.subscribeAsync('stream', { qos: 1 }).then(
      ([grant]) => grant?.qos as number,
      (error: { packet: { granted: number[] } }) => error.packet.granted[0]
    )
    expect(granted).toBe(0x80)
  })
})
