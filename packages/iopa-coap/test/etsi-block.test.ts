import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { formatCode } from '../src/codec/codes.ts'
import { LARGE, startEtsi } from './etsi-app.ts'
import { type LossyRelay, lossyRelay } from './lossy-relay.ts'
import { runClient } from './peer-programs.ts'

const CLIENT = 'coap-client-notls'
const BIG = Array.from({ length: 120 }, (_, i) => `upload ${i} of a body in blocks\n`).join('')
let folder = ''
let file = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'iopa-coap-'))
  file = join(folder, 'big')
  writeFileSync(file, BIG)
})
afterAll(() => rmSync(folder, { recursive: true }))

const blocks = (options: readonly string[], name: string): string =>
  options.find(option => option.startsWith(`${name}:`))?.slice(name.length + 1) ?? ''

// libcoap does not print what it handles by itself, such as 2.31, so those cases go through a relay that sees it.
const answers = ({ log }: LossyRelay): string[] => log.filter(({ toServer }) => !toServer).map(({ message }) => formatCode(message.code))

// ETSI CoAP#4, TD_COAP_BLOCK_*.
describeWith(CLIENT, 'ETSI BLOCK', () => {
  for (const [id, name, args, size] of [
    ['BLOCK_01', 'a GET whose client asks for blocks of 64 bytes first', ['-b', '64'], 64],
    ['BLOCK_02', 'a GET whose server begins with blocks', [], 1024],
    ['BLOCK_06', 'a GET in blocks of 16 bytes', ['-b', '16'], 16]
  ] as const) {
    test.concurrent(`${id}: ${name}`, { timeout: 30_000 }, async () => {
      await using server = await startEtsi()
      const output = join(folder, id)
      const { received } = await runClient(CLIENT, '-B', '20', ...args, '-o', output, '-m', 'get', `${server.url}/large`)
      expect(readFileSync(output, 'utf8')).toBe(LARGE)
      expect(received).toHaveLength(Math.ceil(LARGE.length / size))
      expect(new Set(received.map(({ code }) => code))).toEqual(new Set(['2.05']))
      expect(received.map(({ options }) => blocks(options, 'Block2'))).toEqual(
        received.map((_, i) => `${i}/${i < received.length - 1 ? 'M' : '_'}/${size}`)
      )
      expect(new Set(received.map(({ options }) => blocks(options, 'ETag'))).size).toBe(1)
      expect(blocks(received[0]!.options, 'Size2')).toBe(String(LARGE.length))
      expect(server.calls.get('GET /large')).toBe(1)
    })
  }

  test.concurrent('BLOCK_03: a PUT in blocks, each with a token of its own, is put together once', { timeout: 30_000 }, async () => {
    await using server = await startEtsi()
    const relay = await lossyRelay(server.port, () => false)
    await runClient(CLIENT, '-B', '20', '-b', '64', '-m', 'put', '-t', '0', '-f', file, `coap://127.0.0.1:${relay.port}/large-update`)
    relay.close()
    expect(answers(relay)).toEqual([...Array.from({ length: Math.ceil(BIG.length / 64) - 1 }, () => '2.31'), '2.04'])
    const tokens = relay.log.filter(({ toServer }) => toServer).map(({ message }) => Buffer.from(message.token).toString('hex'))
    expect(new Set(tokens).size).toBe(tokens.length)
    expect(server.bodies.get('/large-update')).toBe(BIG)
    expect(server.calls.get('PUT /large-update')).toBe(1)
  })

  test.concurrent('BLOCK_04: a POST in blocks creates', { timeout: 30_000 }, async () => {
    await using server = await startEtsi()
    const { received } = await runClient(CLIENT, '-B', '20', '-b', '64', '-m', 'post', '-t', '0', '-f', file, `${server.url}/large-create`)
    expect(received.at(-1)!.code).toBe('2.01')
    expect(received.at(-1)!.options).toEqual(expect.arrayContaining(['Location-Path:large-create', 'Location-Path:1']))
    expect(server.bodies.get('/large-create')).toBe(BIG)
    expect(server.calls.get('POST /large-create')).toBe(1)
  })

  test.concurrent('BLOCK_05: a POST in blocks is answered in blocks', { timeout: 30_000 }, async () => {
    await using server = await startEtsi()
    const output = join(folder, 'posted')
    const relay = await lossyRelay(server.port, () => false)
    await runClient(CLIENT, '-B', '20', '-b', '64', '-o', output, '-m', 'post', '-t', '0', '-f', file, `coap://127.0.0.1:${relay.port}/large-post`)
    relay.close()
    expect(server.bodies.get('/large-post')).toBe(BIG)
    expect(readFileSync(output, 'utf8')).toBe(LARGE)
    const codes = answers(relay)
    expect(codes.slice(0, Math.ceil(BIG.length / 64) - 1)).toEqual(Array.from({ length: Math.ceil(BIG.length / 64) - 1 }, () => '2.31'))
    expect(new Set(codes.slice(Math.ceil(BIG.length / 64) - 1))).toEqual(new Set(['2.04']))
    expect(server.calls.get('POST /large-post')).toBe(1)
  })

  test.concurrent('BLOCK_03: a PUT without a chosen block size', { timeout: 30_000 }, async () => {
    await using server = await startEtsi()
    const { received } = await runClient(CLIENT, '-B', '20', '-m', 'put', '-t', '0', '-f', file, `${server.url}/large-update`)
    expect(received.at(-1)!.code).toBe('2.04')
    expect(server.bodies.get('/large-update')).toBe(BIG)
  })
})
