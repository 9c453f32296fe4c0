import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { http } from '@iopa/http'
import { type Client, connect } from '@iopa/transport'
import { afterAll, beforeAll, expect, test } from 'vitest'

const start = fileURLToPath(new URL('../start.ts', import.meta.url))
/** One process: the command of tsx starts a second one for the program. */
const withTsx = ['--conditions=@iopa/source', '--import', 'tsx']
let server: ChildProcess
let url: string
let channel: Client

beforeAll(async () => {
  server = spawn(process.execPath, [...withTsx, start], {
    env: { ...process.env, HTTP_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  ;[url] = (await once(createInterface(server.stdout!), 'line')) as [string]
  channel = await connect(http(), new URL(url))
})

afterAll(async () => {
  await channel.close()
  server.kill('SIGINT')
  expect(await once(server, 'exit')).toEqual([0, null])
})

const put = (name: string, body: unknown): Promise<Response> =>
  fetch(`${url}notes/${name}`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

test('notes are written, read, listed, watched and deleted', async () => {
  const seen: unknown[] = []
  for await (const answer of channel.observe({ 'iopa.Path': '/notes' })) {
    seen.push(await answer.json())
    if (seen.length === 1) expect((await put('milk', { text: 'buy some' })).status).toBe(201)
    else if (seen.length === 2) expect((await fetch(`${url}notes/milk`, { method: 'DELETE' })).status).toBe(204)
    else break
  }
  expect(seen).toEqual([[], ['milk'], []])
  await put('milk', { text: 'buy some' })
  expect((await put('milk', { text: 'buy more' })).status).toBe(204)
  expect(await (await fetch(`${url}notes/milk`)).text()).toBe('buy more')
  expect((await fetch(`${url}notes/bread`)).status).toBe(404)
  expect(await (await put('milk', { text: 7 })).json()).toMatchObject({ status: 422, code: 'bad-note' })
})

test('it is under 40 lines', () => expect(readFileSync(start, 'utf8').trimEnd().split('\n').length).toBeLessThan(40))
