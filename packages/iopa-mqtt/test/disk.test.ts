import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { StoredMessage, StoreRecord } from '../src/store.ts'
import { disk } from '../src/stores/disk.ts'
import { compiled } from './fixtures/program.ts'
import { storeContract } from './store-contract.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'iopa-mqtt-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const message = (topic: string, text: string, properties: number[] = []): StoredMessage => ({
  topic,
  payload: new TextEncoder().encode(text),
  qos: 1,
  properties: Uint8Array.from(properties),
  expiresAt: 0
})

const records = async (store: { load(): AsyncIterable<StoreRecord> }): Promise<StoreRecord[]> => {
  const all: StoreRecord[] = []
  for await (const record of store.load()) all.push(record)
  return all
}

const session = (clientId: string): StoreRecord => ({
  kind: 'session',
  clientId,
  value: {
    protocolVersion: 5,
    expiryInterval: 60,
    expiresAt: 12,
    will: { message: message('gone/é', 'bye', [1, 2]), delayInterval: 3, retain: true, messageExpiryInterval: 0 },
    user: { id: 'ann' }
  }
})
const subscription = (clientId: string, filter: string): StoreRecord => ({
  kind: 'subscription',
  clientId,
  filter,
  value: { qos: 1, noLocal: false, retainAsPublished: true, retainHandling: 0, identifier: 9 }
})
const delivery = (clientId: string, sequence: number, text = ''): StoreRecord => ({
  kind: 'message',
  clientId,
  sequence,
  value: { message: message('lights/hall', text, [0x26]), qos: 1, retain: false, subscriptionIdentifiers: [4, 5], packetId: 0, released: false }
})
const receipt = (clientId: string, packetId: number): StoreRecord => ({ kind: 'received', clientId, packetId, value: { reasonCode: 16 } })
const retained = (topic: string, text: string): StoreRecord => ({ kind: 'retained', topic, value: message(topic, text) })

describe('the disk store', () => {
  test('gives back every kind of record as it was written', async () => {
    const store = disk(folder)
    expect(await records(store)).toEqual([])
    const written = [
      session('a'),
      subscription('a', '$share/g/lights/+'),
      delivery('a', 1, '\0payload'),
      receipt('a', 65_535),
      retained('lights/hall', 'on')
    ]
    await store.write(written)
    await store.close()
    const read = await records(store)
    expect(read).toHaveLength(written.length)
    expect(read).toEqual(expect.arrayContaining(written))
    await store.close()
  })

  test('replaces a record under the same key and removes it when its value is null', async () => {
    const store = disk(folder, { sync: false })
    await store.write([retained('t', 'one'), retained('u', 'two')])
    await store.write([retained('t', 'three'), { kind: 'retained', topic: 'u', value: null }])
    expect(await records(store)).toEqual([retained('t', 'three')])
    await store.close()
  })

  test('yields the messages of a client by ascending sequence, beyond 2^32 too', async () => {
    const store = disk(folder)
    const sequences = [2 ** 40, 3, 255, 2 ** 32, 16, 2 ** 53 - 1]
    await store.write(sequences.map(sequence => delivery('a', sequence)))
    const read = (await records(store)).map(record => (record.kind === 'message' ? record.sequence : -1))
    expect(read).toEqual([...sequences].sort((a, b) => a - b))
    await store.close()
  })

  test('removes the data of a session with it, and nothing of a client whose id begins alike', async () => {
    const store = disk(folder)
    await store.write([
      session('a'),
      subscription('a', 'x/#'),
      delivery('a', 1),
      receipt('a', 1),
      session('ab'),
      subscription('ab', 'x/#'),
      delivery('ab', 1)
    ])
    await store.write([delivery('a', 2), { kind: 'session', clientId: 'a', value: null }, session('a'), subscription('a', 'y')])
    const left = await records(store)
    expect(left).toHaveLength(5)
    expect(left).toEqual(expect.arrayContaining([session('a'), subscription('a', 'y'), session('ab'), subscription('ab', 'x/#'), delivery('ab', 1)]))
    await store.close()
  })

  test('writes batches that arrive meanwhile together, and each in its order', async () => {
    const store = disk(folder)
    await Promise.all(Array.from({ length: 2000 }, (_, n) => store.write([retained(`t/${n % 10}`, String(n))])))
    const read = await records(store)
    expect(read.map(record => new TextDecoder().decode((record.value as StoredMessage).payload)).sort()).toEqual([
      '1990',
      '1991',
      '1992',
      '1993',
      '1994',
      '1995',
      '1996',
      '1997',
      '1998',
      '1999'
    ])
    await store.close()
  })

  test('reports that another broker uses the folder', async () => {
    const store = disk(folder)
    await store.write([retained('t', 'x')])
    await expect(records(disk(folder))).rejects.toMatchObject({ status: 503, code: 'store-locked' })
    await store.close()
    expect(await records(disk(folder))).toHaveLength(1)
  })

  test('rejects a write when the folder cannot be opened', async () => {
    const store = disk(join(folder, 'nowhere', '\0'))
    await expect(store.write([retained('t', 'x')])).rejects.toMatchObject({ code: 'store-unavailable' })
  })

  test('keeps everything it has acknowledged when the process is killed', async () => {
    const program = await compiled('disk-writer')
    const { child, printed: first } = await program.start(folder)
    const exited = once(child, 'exit')
    let printed = first
    for await (const chunk of child.stdout!) {
      printed += chunk
      if (printed.length > 6000 && !child.killed) child.kill('SIGKILL')
    }
    expect((await exited)[1]).toBe('SIGKILL')
    program.dispose()
    const acknowledged = printed.split('\n').slice(0, -1)
    expect(acknowledged.length).toBeGreaterThan(1000)
    const store = disk(folder)
    const kept = new Set((await records(store)).map(record => (record as { topic: string }).topic))
    await store.close()
    expect(acknowledged.filter(number => !kept.has(`house/${number}`))).toEqual([])
  })
})

storeContract('the disk store', () => {
  const path = join(tmpdir(), `iopa-mqtt-${randomUUID()}`)
  return { open: () => disk(path), dispose: () => rm(path, { recursive: true, force: true }) }
})
