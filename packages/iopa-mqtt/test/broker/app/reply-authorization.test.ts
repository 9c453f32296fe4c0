import { afterEach, describe, expect, test } from 'vitest'
import { PendingRequests } from '../../../src/client/pending-requests.ts'
import { closeLabs } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('requests of our client', () => {
  test('have correlation data that cannot be guessed and count once', async () => {
    const requests = new PendingRequests()
    const { correlationData, answer } = requests.add()
    const other = requests.add()
    expect(correlationData.length).toBe(16)
    expect(other.correlationData).not.toEqual(correlationData)
    const message = (payload: string, data: Uint8Array): never =>
      ({ topic: '', payload: Buffer.from(payload), properties: { correlationData: data } }) as never
    for (const guess of ['1', '2', '']) requests.settle(message('forged', Buffer.from(guess)))
    requests.settle(message('true', correlationData))
    requests.settle(message('again', correlationData))
    expect(await (await answer).text()).toBe('true')
  })
})
