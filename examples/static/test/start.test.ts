import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { generate, parse } from 'coap-packet'
import { afterAll, beforeAll, expect, test } from 'vitest'

const start = fileURLToPath(new URL('../start.ts', import.meta.url))
/** One process: the command of tsx starts a second one for the program. */
const withTsx = ['--conditions=@iopa/source', '--import', 'tsx']
let server: ChildProcess
let urls: URL[]

beforeAll(async () => {
  server = spawn(process.execPath, [...withTsx, start], {
    env: { ...process.env, HTTP_PORT: '0', COAP_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const lines: string[] = []
  for await (const line of createInterface(server.stdout!)) if (lines.push(line) === 2) break
  urls = lines.map(line => new URL(line))
})

afterAll(async () => {
  server.kill('SIGINT')
  await once(server, 'exit')
})

const coapGet = async (path: string): Promise<string> => {
  const socket = createSocket('udp4')
  const token = Buffer.from([1, 2])
  const options = path.split('/').map(segment => ({ name: 'Uri-Path' as const, value: Buffer.from(segment) }))
  socket.send(generate({ code: '0.01', confirmable: true, messageId: 7, token, options }), Number(urls[1]!.port), '127.0.0.1')
  const [datagram] = (await once(socket, 'message')) as [Buffer]
  socket.close()
  return parse(datagram).payload.toString()
}

test('the same file comes over HTTP and CoAP', async () => {
  const http = await fetch(new URL('/hello.txt', urls[0]))
  expect([http.status, http.headers.get('content-type'), await http.text()]).toEqual([200, 'text/plain; charset=utf-8', 'Hello World\n'])
  expect(await coapGet('hello.txt')).toBe('Hello World\n')
})

test('the folder is its index over HTTP and a list of links over CoAP', async () => {
  expect(await (await fetch(urls[0]!)).text()).toContain('<title>IOPA</title>')
  expect(await coapGet('')).toContain('</hello.txt>')
})

test('it is under 20 lines', () => expect(readFileSync(start, 'utf8').trimEnd().split('\n').length).toBeLessThan(20))
