import { renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mqtt } from '@iopa/mqtt'
import { connectAsync, type IPublishPacket, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { descriptorsBelow, makeTree, SECRET, type Served, serve, type Tree, traversals } from './support.ts'

let tree: Tree
let served: Served
let client: MqttClient
let received: { topic: string; payload: Buffer; packet: IPublishPacket }[] = []
let heard = (): void => {}

beforeAll(async () => {
  tree = makeTree({ 'data.json': '{"on":true}', 'sp ace/é.txt': 'ünïcode', 'large.bin': Buffer.alloc(300_000, 5) })
  served = await serve(tree.root, mqtt({ port: 0 }), { watchInterval: 20 })
  client = await connectAsync(`mqtt://127.0.0.1:${served.port}`, { protocolVersion: 5 })
  client.on('message', (topic, payload, packet) => {
    received.push({ topic, payload, packet })
    heard()
  })
  await client.subscribeAsync('answers/#', { qos: 1 })
})

beforeEach(() => {
  received = []
})

afterAll(async () => {
  await client.endAsync()
  await served.app.close()
  expect(served.app.live).toBe(0)
  expect(descriptorsBelow(tree.base)).toBe(0)
  tree.remove()
})

/** The first message that fits, of those that have come or are still to come. */
const message = async (fits: (message: (typeof received)[number]) => boolean): Promise<(typeof received)[number]> => {
  for (;;) {
    const found = received.find(fits)
    if (found !== undefined) return found
    await new Promise<void>(done => {
      heard = done
    })
  }
}

let requests = 0

/** A GET: empty payload, Response Topic, Correlation Data. */
const get = async (topic: string, headers?: Readonly<Record<string, string>>): Promise<(typeof received)[number]> => {
  const id = String(++requests)
  await client
    .publishAsync(topic, '', {
      qos: 1,
      properties: { responseTopic: 'answers/one', correlationData: Buffer.from(id), ...(headers === undefined ? {} : { userProperties: headers }) }
    })
    .catch(() => undefined)
  return message(({ packet }) => packet.properties?.correlationData?.toString() === id)
}

const userProperty = ({ packet }: (typeof received)[number], name: string): unknown => packet.properties?.userProperties?.[name]

describe('files over MQTT', () => {
  test('GET by Response Topic answers with the file, its type and its validators', async () => {
    const answer = await get('data.json')
    expect([answer.payload.toString(), answer.packet.properties?.contentType, userProperty(answer, 'status')]).toEqual([
      '{"on":true}',
      'application/json',
      '200'
    ])
    expect(userProperty(answer, 'etag')).toMatch(/^"[^"]+"$/)
    expect((await get('sp ace/é.txt')).payload.toString()).toBe('ünïcode')
    expect((await get('large.bin')).payload.length).toBe(300_000)
  })

  test('validators and ranges are user properties', async () => {
    const etag = userProperty(await get('a.txt'), 'etag') as string
    const same = await get('a.txt', { 'if-none-match': etag })
    expect([userProperty(same, 'status'), same.payload.length]).toEqual(['304', 0])
    const part = await get('a.txt', { range: 'bytes=2-4' })
    expect([userProperty(part, 'status'), part.payload.toString()]).toEqual(['206', '234'])
  })

  test('GET of a directory answers with its index, with and without the final slash', async () => {
    expect((await get('docs')).payload.toString()).toBe('<p>docs')
    expect((await get('docs/')).payload.toString()).toBe('<p>docs')
  })

  test('a subscriber gets the file, each change, its deletion and its return', async () => {
    const path = join(tree.root, 'watched.txt')
    const put = (content: string): void => {
      writeFileSync(`${path}.new`, content)
      renameSync(`${path}.new`, path)
    }
    const text = (wanted: string) => message(({ topic, payload }) => topic === 'watched.txt' && payload.toString() === wanted)
    put('one')
    await client.subscribeAsync('watched.txt', { qos: 1 })
    expect((await text('one')).packet.retain).toBe(true)
    put('two')
    await text('two')
    put('three')
    await text('three')
    unlinkSync(path)
    await text('')
    put('four')
    await text('four')
    await client.unsubscribeAsync('watched.txt')
    unlinkSync(path)
  })

  test('a subscriber of a missing file gets it when it is written', async () => {
    await client.subscribeAsync('coming.txt', { qos: 1 })
    writeFileSync(join(tree.root, 'coming.txt'), 'here')
    await message(({ topic, payload }) => topic === 'coming.txt' && payload.toString() === 'here')
    await client.unsubscribeAsync('coming.txt')
  })

  test('PUBLISH to a topic that names no file is plain pub/sub', async () => {
    await client.subscribeAsync('chat', { qos: 1 })
    await client.publishAsync('chat', 'hello', { qos: 1 })
    expect((await message(({ topic }) => topic === 'chat')).payload.toString()).toBe('hello')
    await client.unsubscribeAsync('chat')
  })

  test('PUBLISH to the topic of a file is refused', async () => {
    await expect(client.publishAsync('a.txt', 'overwritten', { qos: 1 })).rejects.toThrow()
    expect((await get('a.txt')).payload.toString()).toBe('0123456789')
  })

  test('paths of the traversal corpus read nothing outside the root', async () => {
    const corpus = traversals(tree.base)
      .flatMap(path => [path, path.slice(1), decodeLoosely(path), decodeLoosely(path).slice(1)])
      .filter(
        topic =>
          topic !== '' &&
          !/[\0+#\u0001-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff]/.test(topic) &&
          Buffer.byteLength(topic) < 1000 &&
          topic.isWellFormed()
      )
    expect(corpus.length).toBeGreaterThan(3000)
    const attacker = await connectAsync(`mqtt://127.0.0.1:${served.port}`, { protocolVersion: 5, properties: { receiveMaximum: 1000 } })
    let bytes = ''
    let last = (): void => {}
    const answered = new Promise<void>(done => {
      last = done
    })
    attacker.on('message', (_topic, payload, packet) => {
      bytes += payload.toString('latin1')
      if (packet.properties?.correlationData?.toString() === 'last') last()
    })
    await attacker.subscribeAsync('attack/#')
    const ask = (topic: string, id: string): Promise<unknown> =>
      attacker
        .publishAsync(topic, '', { qos: 1, properties: { responseTopic: 'attack/one', correlationData: Buffer.from(id) } })
        .catch(() => undefined)
    for (let at = 0; at < corpus.length; at += 50) await Promise.all(corpus.slice(at, at + 50).map(topic => ask(topic, 'one')))
    for (const topic of corpus.slice(0, 300)) await attacker.subscribeAsync(topic).catch(() => undefined)
    void ask('a.txt', 'last')
    await answered
    await attacker.endAsync()
    expect(bytes).toContain('0123456789')
    expect(bytes.includes(SECRET) || bytes.includes('root:')).toBe(false)
  }, 60_000)
})

const decodeLoosely = (path: string): string => {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
