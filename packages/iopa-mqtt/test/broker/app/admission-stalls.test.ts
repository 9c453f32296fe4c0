import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, type Lab, lab, type TestClient } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('a handler that waits for a message of its publisher', () => {
  test.each([0, 1] as const)('gets it (QoS %i) though every handler that may run waits for one', async qos => {
    const waiting = new Map<string, () => void>()
    let net!: Lab
    net = await lab(
      app => {
        app.use((context, next) => {
          if (context.method === 'CONNECT') context.user = { id: String(context['mqtt.ClientId']) }
          return next()
        })
        const routes = app.use(router())
        routes.put('/ask/:client/:id', async ({ params }) => {
          const answered = new Promise<void>(resolve => void waiting.set(`${params.client}/${params.id}`, resolve))
          await net.transport.publish(`question/${params.client}`, params.id)
          await answered
        })
        routes.put('/answer/:client/:id', ({ params }) => waiting.get(`${params.client}/${params.id}`)?.())
      },
      { limits: { inFlight: 24 } }
    )
    const clients: TestClient[] = []
    for (let at = 0; at < 4; at++) {
      const client = await net.client({ clientId: `c${at}` })
      await client.subscribe(`question/c${at}`)
      clients.push(client)
    }
    const asked = qos === 0 ? 30 : 20
    for (const [at, client] of clients.entries()) {
      for (let id = 1; id <= asked; id++) client.publish(`ask/c${at}/${id}`, 'x', { qos: 1, messageId: id })
    }
    const answered: number[] = clients.map(() => 0)
    const answer = (): void => {
      for (const [at, client] of clients.entries()) {
        for (const question of client.packets.filter(({ cmd }) => cmd === 'publish').slice(answered[at])) {
          const messageId = 1000 + (answered[at] as number)++
          client.publish(`answer/c${at}/${String(question['payload'])}`, 'y', qos === 0 ? {} : { qos, messageId })
        }
      }
    }
    const acknowledged = (): number =>
      clients.reduce((sum, { packets }) => sum + packets.filter(({ cmd, messageId }) => cmd === 'puback' && Number(messageId) < 1000).length, 0)
    for (let round = 0; round < 200 && acknowledged() < clients.length * asked; round++) {
      answer()
      await net.rest(50)
    }
    for (const client of clients) {
      const acknowledgements = client.packets.filter(({ cmd, messageId }) => cmd === 'puback' && Number(messageId) < 1000)
      expect(acknowledgements.map(({ reasonCode }) => reasonCode)).toEqual(new Array(asked).fill(0))
    }
  })
})
