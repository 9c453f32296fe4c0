import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { App } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { expect, test } from 'vitest'
import { forms } from '../src/index.ts'

const MIB = 1024 * 1024
/** `UPLOAD_MIB=100` is the long form. */
const SIZE = Number(process.env['UPLOAD_MIB'] ?? 20) * MIB
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const CHUNK = Buffer.alloc(65_536, 'x')

test('writes a large upload to disk in bounded memory, where the listener allows it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'forms-'))
  let most = 0
  const look = (): void => {
    collect()
    most = Math.max(most, process.memoryUsage().arrayBuffers)
  }
  const app = new App({ logger: false })
    .use(http({ port: 0, limits: { body: 2 * SIZE } }))
    .use(http({ port: 0 }))
    .use(forms({ files: { directory }, limits: { total: 2 * SIZE, fileSize: SIZE } }))
    .use(async context => {
      const { files } = await context['forms.Form'].read()
      return [files[0]!.size, statSync(files[0]!.path).size]
    })
  const [large, usual] = await app.listen()
  const send = (url: URL, size: number) =>
    new Promise<[number | undefined, string]>((resolve, reject) => {
      const headers = { 'content-type': 'multipart/form-data; boundary=xyz' }
      const sent = request(url, { method: 'POST', headers }, answer => {
        answer.toArray().then(parts => resolve([answer.statusCode, String(Buffer.concat(parts))]), reject)
      }).on('error', reject)
      const body = Readable.from(
        (function* () {
          yield Buffer.from('--xyz\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n')
          for (let at = 0; at < size; at += CHUNK.length) {
            if (at % (4 * MIB) === 0) look()
            yield CHUNK
          }
          yield Buffer.from('\r\n--xyz--\r\n')
        })()
      )
      pipeline(body, sent).catch(() => undefined)
    })
  try {
    look()
    const before = most
    expect(await send(large!.url, SIZE)).toEqual([200, JSON.stringify([SIZE, SIZE])])
    expect((most - before) / MIB).toBeLessThan(8)
    expect((await send(usual!.url, 2 * MIB))[0]).toBe(413)
  } finally {
    await app.close({ timeout: 0 })
    rmSync(directory, { recursive: true, force: true })
  }
}, 60_000)
