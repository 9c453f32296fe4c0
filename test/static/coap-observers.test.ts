// CoAP observers of a file that is larger than a notification may be: observers get the first block and fetch the rest (RFC 7959 section 2.6).
import { randomBytes } from 'node:crypto'
import { renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { type CoapListener, coap } from '@iopa/coap'
import { serveStatic } from '@iopa/static'
import type { Listener } from '@iopa/transport'
import type { ParsedPacket } from 'coap-packet'
import { expect, test } from 'vitest'
import { until } from '../hostile-support.ts'
import { block2, descriptorsBelow, makeTree, optionOf, RawCoap, uintOf } from './support.ts'

const SIZE = 2 * 1024 * 1024
const versions = [randomBytes(SIZE), randomBytes(SIZE + 1), randomBytes(SIZE + 2)] as const

test('notifies with the first block, ETag and Size2, and serves the other blocks of the same version', async () => {
  const tree = makeTree({ 'big.bin': versions[0] })
  const app = new App({ logger: false }).use(serveStatic(tree.root, { watchInterval: 20 })).use(coap({ port: 0 }))
  const [listener] = (await app.listen()) as [Listener]
  const client = new RawCoap(Number(listener.url.port))
  const notes: ParsedPacket[] = []
  client.notified = packet => void (optionOf(packet, 'Observe') !== undefined && notes.push(packet))
  const token = new Uint8Array([9])
  await client.request(
    '0.01',
    [
      [6, ''],
      [11, 'big.bin']
    ],
    token
  )
  for (const version of [0, 1, 2]) {
    const content = versions[version]!
    if (version > 0) {
      writeFileSync(join(tree.root, 'new'), content)
      renameSync(join(tree.root, 'new'), join(tree.root, 'big.bin'))
    }
    await until(`version ${version}`, () => notes.some(note => uintOf(optionOf(note, 'Size2')) === content.length))
    const note = notes.at(-1)!
    expect([note.code, uintOf(optionOf(note, 'Content-Format')), uintOf(optionOf(note, 'Block2'))]).toEqual(['2.05', 42, 8 + 6])
    expect(Buffer.compare(note.payload, content.subarray(0, 1024))).toBe(0)
    for (const num of [1, 2, 700, Math.floor((content.length - 1) / 1024)]) {
      const block = await client.get(['big.bin'], [[23, block2(num, 6)]])
      expect(optionOf(block, 'ETag')).toEqual(optionOf(note, 'ETag'))
      expect(Buffer.compare(block.payload, content.subarray(num * 1024, num * 1024 + 1024))).toBe(0)
    }
    await until('no descriptor but that of the transfer is open', () => descriptorsBelow(tree.base) <= 1)
  }
  unlinkSync(join(tree.root, 'big.bin'))
  client.close()
  await app.close({ timeout: 500 })
  await until('nothing is left', () => app.live === 0 && descriptorsBelow(tree.base) === 0)
  tree.remove()
}, 30_000)

test.each(['coap', 'coap+tcp'])(
  'our client over %s gets each version whole',
  async scheme => {
    const tree = makeTree({ 'big.bin': versions[0] })
    const app = new App({ logger: false }).use(serveStatic(tree.root, { watchInterval: 20 })).use(coap({ port: 0, tcp: true }))
    const [listener] = (await app.listen()) as [CoapListener]
    const url = listener.urls.find(({ protocol }) => protocol === `${scheme}:`) as URL
    const clients = new App({ logger: false }).use(coap())
    const client = await clients.connect(url, { limits: { body: 4 * SIZE } })
    const stopping = new AbortController()
    const sizes: number[] = []
    let version = 0
    for await (const answer of client.observe('/big.bin', { signal: stopping.signal })) {
      const bytes = await answer.bytes()
      sizes.push(bytes.length)
      expect(Buffer.compare(bytes, versions[version]!)).toBe(0)
      if (++version === 3) stopping.abort()
      else {
        writeFileSync(join(tree.root, 'new'), versions[version]!)
        renameSync(join(tree.root, 'new'), join(tree.root, 'big.bin'))
      }
    }
    expect(sizes).toEqual([SIZE, SIZE + 1, SIZE + 2])
    await clients.close({ timeout: 0 })
    await app.close({ timeout: 500 })
    await until('nothing is left', () => app.live === 0 && descriptorsBelow(tree.base) === 0)
    tree.remove()
  },
  60_000
)
