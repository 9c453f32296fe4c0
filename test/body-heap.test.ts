import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'

const program = new URL('./body-heap.mjs', import.meta.url).pathname
const root = new URL('..', import.meta.url).pathname
const built = existsSync(new URL('../packages/iopa-http/dist', import.meta.url))

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const MIB = 1024 * 1024
const text = Buffer.alloc(MIB, 'x')
const dense = Buffer.from(`[${'[1,2],'.repeat(MIB / 6 - 2)}1]`)

const ask = (port: number, path: string, body?: Buffer): Promise<number> =>
  new Promise(resolve => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }
    const sent = request({ port, host: '127.0.0.1', path, method: body === undefined ? 'GET' : 'PUT', headers })
    sent.on('error', () => resolve(0))
    sent.on('response', response => {
      response.resume()
      response.on('close', () => resolve(response.statusCode as number))
    })
    sent.end(body)
  })

// A process of its own, and real megabytes: that takes seconds. The heap is what the test is about.
describe.skipIf(!built)('bodies under a heap of 64 MB', () => {
  test.each([
    [400, 'text', text],
    [60, 'json', dense]
  ] as const)(
    '%s held bodies of 1 MB, read as %s, do not end the process: what has no room gets 503',
    async (most, how, body) => {
      const child = fork(program, { cwd: root, execArgv: ['--max-old-space-size=64'], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
      closing.push(() => child.kill())
      const ended = once(child, 'exit')
      const [port] = (await once(child, 'message')) as [number]
      let settled = 0
      const refused = new Promise<void>(resolve => {
        closing.push(resolve)
        settle = () => {
          if (++settled >= most * 0.8) resolve()
        }
      })
      const answers = Array.from({ length: most }, () => ask(port, `/${how}`, body))
      for (const answer of answers) void answer.then(settle)
      // Those that are refused are answered while the others are held.
      await Promise.race([ended, refused])
      expect([child.exitCode, child.signalCode]).toEqual([null, null])
      expect(await ask(port, '/alive')).toBe(200)
      expect(await ask(port, '/go')).toBe(200)
      const statuses = await Promise.all(answers)
      expect([child.exitCode, child.signalCode]).toEqual([null, null])
      const count = (status: number): number => statuses.filter(one => one === status).length
      expect(count(200)).toBeGreaterThan(0)
      expect(count(503)).toBeGreaterThan(0)
      // 0 is a client that was still sending when its connection was closed.
      expect(count(200) + count(503) + count(0)).toBe(most)
      // When all has been given back, there is room again.
      expect(await ask(port, `/${how}`, body)).toBe(200)
    },
    60_000
  )
})

let settle = (): void => undefined
