import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, unlinkSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { coap } from '@iopa/coap'
import type { ParsedPacket } from 'coap-packet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { block2, descriptorsBelow, makeTree, optionOf, RawCoap, SECRET, type Served, serve, type Tree, traversals, uintOf } from './support.ts'

const run = promisify(execFile)
const MIB = 1024 * 1024
const LONG = process.env['IOPA_LONG'] === '1'
const hasPeer = spawnSync('coap-client-notls', ['-h']).error === undefined
const ETAG = 4
const BLOCK2 = 23

const mid = randomBytes(5000)
const big = randomBytes(50 * MIB + 77)
/** Blocks of it that are read, beside the first and the last; all of them take twenty seconds. */
const SAMPLE = LONG ? Number.POSITIVE_INFINITY : 2000
let tree: Tree
let served: Served
let client: RawCoap

beforeAll(async () => {
  tree = makeTree({ 'mid.bin': mid, 'big.bin': big, 'empty.txt': '', 'exact.bin': randomBytes(1024) })
  served = await serve(tree.root, coap({ port: 0 }), { watchInterval: 20 })
  client = new RawCoap(served.port)
}, 60_000)

afterAll(async () => {
  client.close()
  await served.app.close()
  expect(served.app.live).toBe(0)
  expect(descriptorsBelow(tree.base)).toBe(0)
  tree.remove()
})

describe('files over CoAP', () => {
  test('GET of a file answers with Content-Format and ETag', async () => {
    const answer = await client.get(['a.txt'])
    expect([answer.code, answer.payload.toString()]).toEqual(['2.05', '0123456789'])
    expect(optionOf(answer, 'Content-Format')?.length).toBe(0)
    const etag = optionOf(answer, 'ETag')!
    expect(etag.length).toBeGreaterThan(0)
    expect(etag.length).toBeLessThanOrEqual(8)
    expect((await client.get(['empty.txt'])).code).toBe('2.05')
  })

  test('GET with the current ETag answers 2.03 without payload', async () => {
    const etag = optionOf(await client.get(['a.txt']), 'ETag')!
    const answer = await client.request('0.01', [
      [ETAG, etag],
      [11, 'a.txt']
    ])
    expect([answer.code, answer.payload.length]).toEqual(['2.03', 0])
    expect(optionOf(answer, 'ETag')).toEqual(etag)
    const large = optionOf(await client.get(['big.bin']), 'ETag')!
    const valid = await client.request('0.01', [
      [ETAG, large],
      [11, 'big.bin']
    ])
    expect([valid.code, valid.payload.length]).toEqual(['2.03', 0])
  })

  test('the first block has the file size in Size2', async () => {
    const answer = await client.get(['mid.bin'], [[BLOCK2, block2(0, 2)]])
    expect(uintOf(optionOf(answer, 'Size2'))).toBe(5000)
    expect(Buffer.compare(answer.payload, mid.subarray(0, 64))).toBe(0)
  })

  test('all blocks have one ETag, and the last block is short', async () => {
    const etags = new Set<string>()
    const parts: Buffer[] = []
    for (let num = 0; num < 79; num++) {
      const answer = await client.get(['mid.bin'], [[BLOCK2, block2(num, 2)]])
      etags.add(optionOf(answer, 'ETag')!.toString('hex'))
      parts.push(answer.payload)
    }
    expect(etags.size).toBe(1)
    expect(parts.at(-1)!.length).toBe(5000 - 78 * 64)
    expect(Buffer.compare(Buffer.concat(parts), mid)).toBe(0)
  })

  test.each([0, 78, 40, 1])('block %i can be requested separately', async num => {
    const alone = new RawCoap(served.port)
    const answer = await alone.get(['mid.bin'], [[BLOCK2, block2(num, 2)]])
    alone.close()
    expect(Buffer.compare(answer.payload, mid.subarray(num * 64, num * 64 + 64))).toBe(0)
  })

  test('GET of a block after the end gets a client error', async () => {
    expect((await client.get(['mid.bin'], [[BLOCK2, block2(80, 2)]])).code).toMatch(/^4\./)
  })

  test('blocks of a 50 MB file read in random order are identical to it', async () => {
    const blocks = Math.ceil(big.length / 1024)
    const order = Array.from({ length: blocks }, (_, at) => at)
    for (let at = blocks - 1; at > 0; at--) {
      const other = Math.floor(Math.random() * (at + 1))
      ;[order[at], order[other]] = [order[other]!, order[at]!]
    }
    const wanted = new Set([...order.slice(0, SAMPLE), 0, blocks - 1])
    const left = [...wanted]
    const clients = Array.from({ length: 8 }, () => new RawCoap(served.port))
    await Promise.all(
      clients.map(async one => {
        for (let num = left.pop(); num !== undefined; num = left.pop()) {
          const answer = await one.get(['big.bin'], [[BLOCK2, block2(num, 6)]])
          if (answer.code !== '2.05') throw new Error(`block ${num} is ${answer.code} ${answer.payload}`)
          if (Buffer.compare(answer.payload, big.subarray(num * 1024, num * 1024 + 1024)) !== 0) throw new Error(`block ${num} differs`)
          wanted.delete(num)
        }
        one.close()
      })
    )
    expect(wanted.size).toBe(0)
  }, 120_000)

  test('a file that changes between two blocks gets another ETag or an error, never a mixture', async () => {
    const path = join(tree.root, 'changing.bin')
    for (const change of ['replaced', 'overwritten'] as const) {
      writeFileSync(path, Buffer.alloc(MIB * 2, 'a'))
      const one = new RawCoap(served.port)
      const first = await one.get(['changing.bin'], [[BLOCK2, block2(0, 6)]])
      if (change === 'replaced') unlinkSync(path)
      const fd = openSync(path, change === 'replaced' ? 'w' : 'r+')
      writeSync(fd, Buffer.alloc(MIB * 2, 'b'))
      closeSync(fd)
      const second = await one.get(['changing.bin'], [[BLOCK2, block2(1, 6)]])
      one.close()
      const sameTag = optionOf(first, 'ETag')!.equals(optionOf(second, 'ETag') ?? Buffer.alloc(0))
      // Under one ETag there is one content: the old one, as long as a reader is left.
      expect([second.code, second.payload.toString()], change).toEqual(['2.05', (sameTag ? 'a' : 'b').repeat(1024)])
    }
  })

  test('GET of a directory lists links, with and without the final slash', async () => {
    for (const segments of [['bare'], ['bare', '']]) {
      const answer = await client.get(segments)
      expect([answer.code, uintOf(optionOf(answer, 'Content-Format')), answer.payload.toString()]).toEqual([
        '2.05',
        40,
        '</bare/x.bin>;type="application/octet-stream"'
      ])
    }
    const root = (await client.get([])).payload.toString()
    expect(root).toContain('</docs/>;ct=40')
    for (const hidden of ['.env', '.git', 'link', 'sibling', '</con>', 'a:b']) expect(root).not.toContain(hidden)
  })

  test('GET of a missing file answers 4.04, PUT of a file 4.05', async () => {
    expect((await client.get(['missing'])).code).toBe('4.04')
    expect((await client.request('0.03', [[11, 'a.txt']])).code).toBe('4.05')
    expect((await client.request('0.04', [[11, 'a.txt']])).code).toBe('4.05')
    expect((await client.request('0.03', [[11, 'missing']])).code).toBe('4.04')
  })

  test('an observer is notified of each change of the file', async () => {
    const path = join(tree.root, 'watched.txt')
    writeFileSync(path, 'one')
    const observer = new RawCoap(served.port)
    const texts: string[] = []
    let heard = (): void => {}
    observer.notified = (packet: ParsedPacket) => {
      texts.push(`${packet.code} ${packet.payload}`)
      heard()
    }
    const until = (text: string): Promise<void> =>
      new Promise(done => {
        heard = () => {
          if (texts.includes(text)) done()
        }
        heard()
      })
    const first = await observer.request('0.01', [
      [6, ''],
      [11, 'watched.txt']
    ])
    expect(optionOf(first, 'Observe')).toBeDefined()
    await until('2.05 one')
    writeFileSync(path, 'two')
    await until('2.05 two')
    writeFileSync(path, 'three')
    await until('2.05 three')
    unlinkSync(path)
    await until('4.04 The file has been deleted.')
    observer.close()
  })

  test.runIf(hasPeer || process.env['IOPA_REQUIRE_PEERS'] === '1').each([16, 64, 1024])(
    'coap-client-notls -b %i reads the tree byte for byte',
    async size => {
      for (const name of ['mid.bin', 'a.txt', 'exact.bin', 'empty.txt', 'index.html', 'docs/index.html', 'bare/x.bin', '.well-known/security.txt']) {
        const content = readFileSync(join(tree.root, name))
        const copy = join(tmpdir(), `iopa-coap-${process.pid}-${size}`)
        // It makes none for an empty payload.
        writeFileSync(copy, '')
        await run('coap-client-notls', ['-B', '10', '-b', String(size), '-o', copy, `coap://127.0.0.1:${served.port}/${name}`])
        expect(Buffer.compare(readFileSync(copy), content), name).toBe(0)
        unlinkSync(copy)
      }
    }
  )

  test('paths of the traversal corpus read nothing outside the root, as one segment or many', async () => {
    const clients = Array.from({ length: 8 }, () => new RawCoap(served.port))
    const paths = traversals(tree.base)
    const tries = paths.flatMap(path => [
      path.slice(1).split('/'),
      [path.slice(1)],
      path.split('/'),
      [path],
      [decodeLoosely(path)],
      decodeLoosely(path).slice(1).split('/')
    ])
    expect(tries.length).toBeGreaterThan(5000)
    let refused = 0
    await Promise.all(
      clients.map(async one => {
        for (let segments = tries.pop(); segments !== undefined; segments = tries.pop()) {
          if (segments.some(segment => Buffer.byteLength(segment) > 255)) continue
          const answer = await one.get(segments)
          const text = answer.payload.toString('latin1')
          if (text.includes(SECRET) || text.includes('root:')) throw new Error(`${JSON.stringify(segments)} leaves the root`)
          if (answer.code.startsWith('4.')) refused++
          else if (answer.code !== '2.05') throw new Error(`${JSON.stringify(segments)} is ${answer.code}`)
        }
        one.close()
      })
    )
    expect(refused).toBeGreaterThan(4000)
  }, 60_000)
})

const decodeLoosely = (path: string): string => {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
