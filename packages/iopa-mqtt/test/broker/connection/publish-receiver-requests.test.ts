import type { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, type Lab, lab, type TestClient } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const REQUEST = { properties: { responseTopic: 'answers' } }

let lastId = 0

const publish = (client: TestClient, topic: string, payload: string, options: object): void =>
  client.publish(topic, payload, { qos: 1, messageId: ++lastId, ...options })

const acknowledged = async (client: TestClient, count: number): Promise<void> => {
  for (let got = 0; got < count; got++) await client.next('puback')
}

/** An app whose PUT handlers wait until the test releases them by their payload. */
const gated = () => {
  const log: string[] = []
  const gates = new Map<string, () => void>()
  const handler = async (context: { text(): Promise<string> }): Promise<void> => {
    const name = await context.text()
    log.push(name)
    await new Promise<void>(resolve => gates.set(name, resolve))
    log.push(`${name} done`)
  }
  const build = (app: App): void => {
    const routed = app.use(router())
    routed.get('/state', () => 'x').put('/state', handler)
    routed.put('/command', handler)
  }
  /** What has begun and ended when everything has come to rest. */
  const begun = async (place: Lab): Promise<string[]> => {
    await place.rest()
    return log
  }
  const release = (name: string): void => gates.get(name)?.()
  return { build, begun, release }
}

describe('messages to one topic', () => {
  test('run side by side when they are requests to a path with a GET route', async () => {
    const { build, begun, release } = gated()
    const place = await lab(build)
    const { client } = await place.connect()
    for (const name of ['1', '2', '3']) publish(client, 'state', name, REQUEST)
    expect(await begun(place)).toEqual(['1', '2', '3'])
    for (const name of ['3', '1', '2']) release(name)
    await acknowledged(client, 3)
  })

  test('run in their order when they are plain messages, and requests wait for those before them', async () => {
    const { build, begun, release } = gated()
    const place = await lab(build)
    const { client } = await place.connect()
    for (const name of ['plain 1', 'plain 2', 'request 1', 'request 2', 'plain 3', 'plain 4'])
      publish(client, 'state', name, name.startsWith('request') ? REQUEST : {})
    expect(await begun(place)).toEqual(['plain 1'])
    release('plain 1')
    expect(await begun(place)).toEqual(['plain 1', 'plain 1 done', 'plain 2'])
    release('plain 2')
    expect((await begun(place)).slice(3)).toEqual(['plain 2 done', 'request 1', 'request 2', 'plain 3'])
    release('request 1')
    expect((await begun(place)).slice(7)).toEqual(['request 1 done'])
    release('plain 3')
    expect((await begun(place)).slice(8)).toEqual(['plain 3 done', 'plain 4'])
    for (const name of ['request 2', 'plain 4']) release(name)
    await acknowledged(client, 6)
  })

  test('run one after another where the message itself is delivered', async () => {
    const { build, begun, release } = gated()
    const place = await lab(build)
    const { client } = await place.connect()
    for (const name of ['1', '2']) publish(client, 'command', name, REQUEST)
    expect(await begun(place)).toEqual(['1'])
    release('1')
    expect(await begun(place)).toEqual(['1', '1 done', '2'])
    release('2')
    await acknowledged(client, 2)
  })
})
