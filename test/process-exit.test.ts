// What a caller awaits keeps a process alive, housekeeping does not: shown by processes that do one thing each.
import { type ChildProcess, spawn } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { App, type Transport } from '@iopa/appbuilder'
import { type CoapListener, coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import type { Listener } from '@iopa/transport'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'

// Within the project, so that the modules that are not bundled are found.
const folder = mkdtempSync(new URL('../node_modules/.process-exit-', import.meta.url).pathname)
const program = join(folder, 'program.mjs')

beforeAll(async () => {
  await build({
    entryPoints: [new URL('process-exit-program.ts', import.meta.url).pathname],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: ['@iopa/source'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
    logLevel: 'silent'
  })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A process, what it has said, and how it ended. */
interface Run {
  readonly child: ChildProcess
  readonly lines: string[]
  readonly exit: Promise<number | null>
}

const run = (task: string, url = ''): Run => {
  const child = spawn(process.execPath, [program, task, url], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  child.stdout?.on('data', (chunk: Buffer) => lines.push(...chunk.toString().trim().split('\n')))
  ends.push(() => child.kill('SIGKILL'))
  return { child, lines, exit: once(child, 'exit').then(([code]) => code as number | null) }
}

/** Serves a state; `port` 0 for a free one. */
const serve = async (make: (port: number) => Transport, state: string, port = 0): Promise<{ url: URL; close: () => Promise<void> }> => {
  const app = new App({ logger: false }).use(router()).use(make(port))
  app.get('/state', () => state)
  const [listener] = (await app.listen()) as [Listener]
  const url = (listener as CoapListener).urls?.find(({ protocol }) => protocol === 'coap+tcp:') ?? listener.url
  const close = (): Promise<void> => app.close({ timeout: 50 })
  ends.push(close)
  return { url, close }
}

test('a process with only an observer runs on when its server restarts', async () => {
  const makes: Readonly<Record<string, (port: number) => Transport>> = {
    http: port => http({ port, retry: 300 }),
    tcp: port => tcp({ port }),
    'coap+tcp': port => coap({ port, tcp: true }),
    mqtt: port => mqtt({ port, statistics: false })
  }
  const check = async (make: (port: number) => Transport): Promise<unknown> => {
    const before = await serve(make, 'first')
    const observer = run('observe', before.url.href)
    await vi.waitFor(() => expect(observer.lines).toEqual(['first']), { timeout: 20_000 })
    await before.close()
    // Long enough for the observer to find no server, and to have nothing but a timer.
    await new Promise(resolve => setTimeout(resolve, 600))
    await serve(make, 'last', Number(before.url.port))
    return [await observer.exit, ...observer.lines]
  }
  const results = await Promise.all(Object.entries(makes).map(async ([name, make]) => [name, await check(make)]))
  expect(results).toEqual(Object.keys(makes).map(name => [name, [0, 'first', 'last', 'done']]))
})

test('a process with only an observer over datagrams runs on without its server', async () => {
  const { url, close } = await serve(port => coap({ port }), 'first')
  const { child, lines } = run('observe', url.href)
  await vi.waitFor(() => expect(lines).toEqual(['first']), { timeout: 20_000 })
  await close()
  await new Promise(resolve => setTimeout(resolve, 300))
  expect(child.exitCode).toBe(null)
})

test('a process that waits for an answer runs until its timeout', async () => {
  const server = net.createServer(socket => void socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1')
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1')
  await Promise.all([once(server, 'listening'), once(socket, 'listening')])
  ends.push(
    () => server.close(),
    () => socket.close()
  )
  const { port } = server.address() as net.AddressInfo
  const runs = [`http://127.0.0.1:${port}`, `tcp://127.0.0.1:${port}`, `udp://127.0.0.1:${socket.address().port}`].map(url => run('request', url))
  expect(await Promise.all(runs.map(({ exit }) => exit))).toEqual([0, 0, 0])
  for (const { lines } of runs) expect(lines).toEqual(['timeout', 'done'])
})

test('a process that closes its app runs until the close, even with requests that never settle', async () => {
  const { exit, lines } = run('close')
  expect(await exit).toBe(0)
  expect(lines).toEqual(expect.arrayContaining(['closed', 'done']))
})

test('a process with only an idle HTTP client exits', async () => {
  const { url } = await serve(port => http({ port }), 'x')
  const { exit, lines } = run('idle', url.href)
  await vi.waitFor(() => expect(lines).toEqual(['x', 'done']), { timeout: 8000 })
  const began = performance.now()
  expect(await exit).toBe(0)
  expect(performance.now() - began).toBeLessThan(2000)
})
