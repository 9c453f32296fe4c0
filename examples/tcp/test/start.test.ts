import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { tcp } from '@iopa/tcp'
import { type Client, connect } from '@iopa/transport'
import { afterAll, beforeAll, expect, test } from 'vitest'

const start = fileURLToPath(new URL('../start.ts', import.meta.url))
/** One process: the command of tsx starts a second one for the program. */
const withTsx = ['--conditions=@iopa/source', '--import', 'tsx']
let server: ChildProcess
let channel: Client

beforeAll(async () => {
  server = spawn(process.execPath, [...withTsx, start], {
    env: { ...process.env, TCP_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const [url] = (await once(createInterface(server.stdout!), 'line')) as [string]
  channel = await connect(tcp(), new URL(url))
})

afterAll(async () => {
  await channel.close()
  server.kill('SIGINT')
  await once(server, 'exit')
})

test('the level is read, set and watched', async () => {
  const put = (body: unknown) => channel.send({ 'iopa.Method': 'PUT', 'iopa.Path': '/level', 'iopa.Body': body })
  const seen: unknown[] = []
  for await (const answer of channel.observe({ 'iopa.Path': '/level' })) {
    seen.push(await answer.json())
    if (seen.length === 2) break
    expect((await put({ level: 7 })).status).toBe(204)
  }
  expect(seen).toEqual([{ level: 0 }, { level: 7 }])
  const refused = await put({ level: 'high' })
  expect([refused.status, await refused.json()]).toMatchObject([422, { code: 'bad-level' }])
})

test('it is under 40 lines', () => expect(readFileSync(start, 'utf8').trimEnd().split('\n').length).toBeLessThan(40))
