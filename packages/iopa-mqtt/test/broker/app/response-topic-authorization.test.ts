import { type App, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

/** Users are the part of the client identifier before '-'; a reader may not change anything. */
const withReaders = (app: App): App =>
  app.use((context, next) => {
    if (context.method === 'CONNECT') context.user = { id: String(context['mqtt.ClientId']).split('-')[0] as string }
    const changes = ['PUT', 'POST', 'PATCH', 'DELETE', 'PUBLISH'].includes(context.method)
    if (changes && context.user?.id === 'reader') throw new IopaError(403, 'forbidden', 'Readers change nothing.')
    return next()
  })

describe("the app's answer to a request", () => {
  const build = (app: App): void =>
    void withReaders(app)
      .use(router())
      .get('/me', ({ user }) => String(user?.id))
  const ask = { properties: { responseTopic: 'answers/1', correlationData: Buffer.from('c') } }

  test('goes to sessions of the requesting user alone', async () => {
    const net = await lab(build)
    const bob = await net.client({ clientId: 'bob-1' })
    await bob.subscribe(['#', 'answers/+', '$share/g/answers/1'], { qos: 1 })
    const ann = await net.client({ clientId: 'ann-1' })
    const also = await net.client({ clientId: 'ann-2' })
    await also.subscribe('$share/g/answers/1', { qos: 1 })
    await ann.subscribe('answers/#')
    for (let times = 0; times < 4; times++) {
      expect(await ann.put('me', '', ask)).toMatchObject({ reasonCode: 0 })
      await net.rest()
    }
    expect((await ann.messages()).length).toBe(4)
    expect((await also.messages()).length).toBe(4)
    expect((await bob.messages()).filter(message => message.startsWith('answers'))).toEqual([])
  })

  test('goes to the requesting client alone where there is no user', async () => {
    const net = await lab(app => void app.use(router()).get('/me', () => 'x'))
    const [ann, bob] = [await net.client(), await net.client()]
    for (const client of [ann, bob]) await client.subscribe('answers/#')
    await ann.put('me', '', ask)
    expect(await ann.messages()).toEqual(['answers/1 x'])
    expect(await bob.messages()).toEqual([])
  })

  test("goes to every subscriber with replies: 'subscribers'", async () => {
    const net = await lab(build, { replies: 'subscribers' })
    const bob = await net.client({ clientId: 'bob-1' })
    await bob.subscribe('answers/#')
    await (await net.client({ clientId: 'ann-1' })).put('me', '', ask)
    expect(await bob.messages()).toEqual(['answers/1 ann'])
  })
})
