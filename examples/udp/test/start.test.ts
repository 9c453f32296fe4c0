import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Client, connect } from '@iopa/transport'
import { udp } from '@iopa/udp'
import { afterAll, beforeAll, expect, test } from 'vitest'

const start = fileURLToPath(new URL('../start.ts', import.meta.url))
/** One process: the command of tsx starts a second one for the program. */
const withTsx = ['--conditions=@iopa/source', '--import', 'tsx']
let server: ChildProcess
let channel: Client

beforeAll(async () => {
  server = spawn(process.execPath, [...withTsx, start], {
    env: { ...process.env, UDP_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const [url] = (await once(createInterface(server.stdout!), 'line')) as [string]
  channel = await connect(udp(), new URL(url), { timeout: 5000 })
})

afterAll(async () => {
  await channel.close()
  server.kill('SIGINT')
  await once(server, 'exit')
})

test('a reading is kept and given back', async () => {
  const attic = { 'iopa.Path': '/sensors/attic' }
  expect((await channel.send(attic)).status).toBe(404)
  expect((await channel.send({ ...attic, 'iopa.Method': 'PUT', 'iopa.Body': { value: 21.5, unit: 'C' } })).status).toBe(204)
  expect(await (await channel.send(attic)).json()).toEqual({ value: 21.5, unit: 'C' })
  expect((await channel.send({ ...attic, 'iopa.Method': 'PUT', 'iopa.Body': { value: 'warm' } })).status).toBe(422)
})

test('it is under 40 lines', () => expect(readFileSync(start, 'utf8').trimEnd().split('\n').length).toBeLessThan(40))
