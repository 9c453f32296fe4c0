// Raw requests, No-Response and long tokens against libcoap's programs.
import { App } from '@iopa/appbuilder'
import { coap, discover } from '@iopa/coap'
import { expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { startEtsi } from './etsi-app.ts'
import { runClient } from './peer-programs.ts'
import { startPeerServer } from './peer-server.ts'

describeWith('coap-server-notls', 'requests to libcoap', () => {
  test('with No-Response change it, and are not answered', async () => {
    await using server = await startPeerServer('coap-server-notls', '-d', '10')
    const app = new App({ logger: false }).use(coap())
    const client = await app.connect(`coap://127.0.0.1:${server.port}`)
    for (const body of ['first', 'second'.repeat(100)]) {
      const put = { 'iopa.Method': 'PUT', 'iopa.Path': '/example_data', 'iopa.Body': body }
      const answer = await client.send({ ...put, 'coap.Options': [[OPTION.NO_RESPONSE, 26]] })
      expect([answer.status, answer['coap.Message']]).toEqual([204, undefined])
      expect(await (await client.get('/example_data')).text()).toBe(body)
    }
    const refused = await client.send({ 'iopa.Method': 'PUT', 'iopa.Path': '/time', 'iopa.Body': 'x', 'coap.Options': [[OPTION.NO_RESPONSE, 2]] })
    expect(refused.status).toBeGreaterThanOrEqual(204)
    await app.close({ timeout: 0 })
  })

  test('show the message of the answer, carry elective options, and are refused with a critical one', async () => {
    await using server = await startPeerServer('coap-server-notls')
    const app = new App({ logger: false }).use(coap())
    const client = await app.connect(`coap://127.0.0.1:${server.port}`)
    const answer = await client.send({
      'coap.Options': [
        [OPTION.HOP_LIMIT, 5],
        [3412, 60]
      ]
    })
    expect([answer.status, answer['coap.Message']?.type, answer['coap.Message']?.token.length]).toEqual([200, 2, 8])
    // libcoap's 4.02 has the option that it has not understood.
    const critical = { 'coap.Options': [[2049, 'x']] as const }
    await expect(client.send(critical)).rejects.toMatchObject({ status: 502, code: 'critical-option' })
    const reader = await new App({ logger: false }).use(coap({ criticalOptions: [2049] })).connect(`coap://127.0.0.1:${server.port}`)
    const told = await reader.send(critical)
    expect([told.reason, told['coap.Message']?.options.text(2049)]).toEqual(['4.02', 'x'])
    await reader.close()
    expect((await client.send({ 'iopa.Method': '0.30' })).status).toBeGreaterThanOrEqual(400)
    const links = await discover(client)
    expect(links.find(({ href }) => href === '/time')?.attributes).toMatchObject({ rt: 'ticks', if: 'clock' })
    await app.close({ timeout: 0 })
  })
})

describeWith('coap-client-notls', 'requests of libcoap', () => {
  test('with an elective option that is not known, and with Hop-Limit, are answered', async () => {
    await using server = await startEtsi()
    const { received } = await runClient('coap-client-notls', '-O', '16,0x05', '-O', '3412,0x01', `${server.url}/test`)
    expect(received.at(-1)).toMatchObject({ code: '2.05', payload: 'test' })
  })
})
