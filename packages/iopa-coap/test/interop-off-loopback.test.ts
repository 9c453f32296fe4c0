// Other people's clients at an address that is not loopback, where they have to be verified first.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { request } from 'coap'
import { describe, expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { eventually } from './eventually.ts'
import { runClient, startClient } from './peer-programs.ts'

const ADDRESS = Object.values(networkInterfaces())
  .flatMap(addresses => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

const serve = async () => {
  let state = 'state 0'
  const app = new App({ logger: false }).use(router()).use(coap({ host: ADDRESS!, port: 0, allowUnauthenticated: true }))
  app.get('/state', () => state)
  app.get('/large', () => 'large '.repeat(500))
  const [listener] = await app.listen()
  const set = (value: string): void => {
    state = value
    app.notify('/state')
  }
  return { app, set, host: ADDRESS!, port: Number(listener!.url.port), [Symbol.asyncDispose]: () => app.close({ timeout: 500 }) }
}

describeWith('coap-client-notls', "libcoap's client off loopback", () => {
  test.skipIf(ADDRESS === undefined)('observes without an Echo, and fetches a large answer', async () => {
    await using server = await serve()
    const url = `coap://${server.host}:${server.port}`
    const client = startClient('coap-client-notls', ['-v', '6', '-B', '8', '-s', '4', '-m', 'get', `${url}/state`])
    await client.shows(/state 0/)
    for (const state of ['state 1', 'state 2', 'state 3']) {
      server.set(state)
      await client.shows(new RegExp(state))
    }
    await client.done
    const folder = mkdtempSync(join(tmpdir(), 'iopa-coap-large-'))
    await runClient('coap-client-notls', '-m', 'get', '-o', join(folder, 'large'), `${url}/large`)
    expect(readFileSync(join(folder, 'large'), 'utf8')).toBe('large '.repeat(500))
    rmSync(folder, { recursive: true })
  })
})

describe("node-coap's client off loopback", () => {
  test.skipIf(ADDRESS === undefined)('observes without an Echo', async () => {
    await using server = await serve()
    const seen: string[] = []
    const asking = request({ host: server.host, port: server.port, pathname: '/state', observe: true })
    asking.on('response', stream => {
      stream.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
      stream.on('error', () => undefined)
    })
    asking.on('error', () => undefined)
    asking.end()
    await eventually(() => seen.includes('state 0'), 'the first answer')
    for (const state of ['state 1', 'state 2', 'state 3']) {
      server.set(state)
      await eventually(() => seen.includes(state), state)
    }
  })
})
