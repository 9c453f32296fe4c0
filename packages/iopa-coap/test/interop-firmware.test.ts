import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { collectGarbage, heapUsed } from './heap.ts'
import { startClient } from './peer-programs.ts'

const CLIENT = 'coap-client-notls'
const MIB = 1024 * 1024
const FIRMWARE = randomBytes(10 * MIB)
const DIGEST = createHash('sha256').update(FIRMWARE).digest('hex')
let folder = ''
let file = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'iopa-firmware-'))
  file = join(folder, 'firmware')
  writeFileSync(file, FIRMWARE)
})
afterAll(() => rmSync(folder, { recursive: true }))

/** What live objects and buffers take. */
const memory = (): number => {
  collectGarbage()
  return heapUsed()
}

describeWith(CLIENT, 'firmware of 10 MiB from libcoap', () => {
  for (const scheme of ['coap', 'coap+tcp'])
    test(`is hashed while it arrives over ${scheme}, within 4 MiB of memory`, { timeout: 60_000 }, async () => {
      const app = new App({ logger: false })
        .use(router())
        .use(coap({ port: 0, udp: scheme === 'coap', tcp: scheme !== 'coap', limits: { body: 16 * MIB } }))
      let most = 0
      let chunks = 0
      let digest = ''
      app.put('/firmware', async context => {
        const hash = createHash('sha256')
        const before = memory()
        for await (const chunk of context.body ?? []) {
          hash.update(chunk)
          if (++chunks % (scheme === 'coap' ? 2048 : 2) === 0) most = Math.max(most, memory() - before)
        }
        digest = hash.digest('hex')
        return reply(201)
      })
      const [listener] = await app.listen()
      try {
        // Without -v, which would print all of it.
        await startClient(CLIENT, ['-B', '50', '-m', 'put', '-f', file, `${scheme}://127.0.0.1:${listener!.url.port}/firmware`]).done
        expect(digest).toBe(DIGEST)
        expect(chunks).toBe(scheme === 'coap' ? 10_240 : 10)
        expect(most).toBeGreaterThan(0)
        expect(most).toBeLessThan(4 * MIB)
      } finally {
        await app.close({ timeout: 0 })
      }
    })
})
