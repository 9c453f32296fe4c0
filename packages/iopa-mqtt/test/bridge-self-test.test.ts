import { afterEach, expect, it, vi } from 'vitest'

afterEach(() => {
  vi.doUnmock('mqtt')
  vi.resetModules()
})

it('passes with the MQTT.js that is installed', async () => {
  const { assertHandOff } = await import('../src/remote/self-test.ts')
  await expect(assertHandOff()).resolves.toBeUndefined()
})

it.each([
  ['acknowledges by itself', 'handleMessage', (original: (...args: unknown[]) => unknown) => original],
  ['has no way to acknowledge later', '_sendPacket', () => () => {}]
])('refuses an MQTT.js that %s', async (_, member, replace) => {
  vi.doMock('mqtt', async importOriginal => {
    const original = await importOriginal<typeof import('mqtt')>()
    class Changed extends original.MqttClient {
      constructor(...args: ConstructorParameters<typeof original.MqttClient>) {
        super(...args)
        const own = (this as unknown as Record<string, (...args: unknown[]) => unknown>)[member]!.bind(this)
        Object.defineProperty(this, member, { get: () => replace(own), set: () => {} })
      }
    }
    return { ...original, MqttClient: Changed }
  })
  const { assertHandOff } = await import('../src/remote/self-test.ts')
  await expect(assertHandOff()).rejects.toMatchObject({ status: 500, code: 'mqtt-js-incompatible' })
})
