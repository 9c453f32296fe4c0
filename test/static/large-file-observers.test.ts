// A file that is too large for an event: its observers on every protocol hear that it has changed, and get the rest with GET.

import { randomBytes } from 'node:crypto'
import { renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import type { LinkAnswer } from '@iopa/context'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { serveStatic } from '@iopa/static'
import { tcp } from '@iopa/tcp'
import { type Listener, parseUrl } from '@iopa/transport'
import mqttJs from 'mqtt'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../hostile-support.ts'
import { descriptorsBelow, makeTree, rawHttp, type Tree } from './support.ts'

const SIZE = 3 * 1024 * 1024
const versions = [randomBytes(SIZE), randomBytes(SIZE + 1), randomBytes(SIZE + 2)] as const
let tree: Tree
let app: App
let clients: App
let ports: { http: number; mqtt: number; tcp: number }

beforeAll(async () => {
  tree = makeTree({ 'big.bin': versions[0] })
  app = new App({ logger: false })
    .use(serveStatic(tree.root, { watchInterval: 20 }))
    .use(http({ port: 0 }))
    .use(mqtt({ port: 0, statistics: false }))
    .use(tcp({ port: 0 }))
  const [first, second, third] = ((await app.listen()) as Listener[]).map(({ url }) => parseUrl(url).port) as [number, number, number]
  ports = { http: first, mqtt: second, tcp: third }
  clients = new App({ logger: false }).use(http()).use(tcp())
})

afterAll(async () => {
  await clients.close({ timeout: 0 })
  await app.close({ timeout: 500 })
  await until('nothing is left', () => app.live === 0 && descriptorsBelow(tree.base) === 0)
  tree.remove()
})

const replace = (content: Uint8Array): void => {
  writeFileSync(join(tree.root, 'new'), content)
  renameSync(join(tree.root, 'new'), join(tree.root, 'big.bin'))
}

const linkTo = (content: Uint8Array): string => `</big.bin>;type="application/octet-stream";sz=${content.length}`

/** What an observer hears of each version: the link, under a validator with which a GET agrees. */
const expectNews = async (told: readonly { readonly text: string; readonly etag: string }[], version: number): Promise<void> => {
  await until(`version ${version} is told`, () => told.some(({ text }) => text === linkTo(versions[version]!)))
  const now = await rawHttp(ports.http, '/big.bin')
  expect(told.at(-1)).toEqual({ text: linkTo(versions[version]!), etag: now.headers.get('etag') })
  expect(Buffer.compare(now.body, versions[version]!)).toBe(0)
}

interface Told {
  readonly text: string
  readonly etag: string
}

/** Observes the file with a client of ours. */
const observeWith = async (url: string): Promise<{ told: Told[]; stop(): Promise<void> }> => {
  const client = await clients.connect(url)
  const told: Told[] = []
  const stopping = new AbortController()
  const reading = (async () => {
    for await (const answer of client.observe('/big.bin', { signal: stopping.signal })) {
      expect(answer.type).toBe('application/link-format')
      told.push({ text: await answer.text(), etag: answer.headers.get('etag') ?? '' })
    }
  })()
  reading.catch(() => undefined)
  return {
    told,
    stop: async () => {
      stopping.abort()
      await reading
      await client.close()
    }
  }
}

test('observers of a large file get a link with the ETag of GET after each change, and keep no file open', async () => {
  const overHttp = await observeWith(`http://127.0.0.1:${ports.http}`)
  const overTcp = await observeWith(`tcp://127.0.0.1:${ports.tcp}`)
  const overMqtt: Told[] = []
  const empty: number[] = []
  const broker = await mqttJs.connectAsync(`mqtt://127.0.0.1:${ports.mqtt}`, { protocolVersion: 5 })
  broker.on('message', (_topic, payload, { properties }) => {
    if (payload.length === 0) empty.push(overMqtt.length)
    else {
      expect(properties?.contentType).toBe('application/link-format')
      overMqtt.push({ text: String(payload), etag: String(properties?.userProperties?.['etag']) })
    }
  })
  await broker.subscribeAsync('big.bin', { qos: 1 })
  const all = [overHttp.told, overTcp.told, overMqtt]
  for (const version of [0, 1, 2]) {
    if (version > 0) replace(versions[version]!)
    for (const told of all) await expectNews(told, version)
    await until('no descriptor is open', () => descriptorsBelow(tree.base) === 0)
  }
  // An empty message would say that it has gone.
  expect(empty).toEqual([])
  unlinkSync(join(tree.root, 'big.bin'))
  await until('MQTT says that it has gone', () => empty.length === 1)
  await overHttp.stop().catch(error => expect(error).toMatchObject({ status: 404 }))
  await overTcp.stop().catch(error => expect(error).toMatchObject({ status: 404 }))
  await broker.endAsync()
  await until('no context is left', () => app.live <= 3)
})

test('app.observe() of a large file gives the link to it', async () => {
  replace(versions[1])
  const stopping = new AbortController()
  for await (const answer of app.observe('/big.bin', { signal: stopping.signal })) {
    expect((answer as LinkAnswer).excerpt).toMatchObject({ size: SIZE + 1, type: 'application/octet-stream' })
    expect(await answer.text()).toBe(`</big.bin>;type="application/octet-stream";sz=${SIZE + 1}`)
    stopping.abort()
  }
})
