import { expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { parseLinks } from '../src/formats/link-format.ts'
import { startEtsi } from './etsi-app.ts'
import { runClient } from './peer-programs.ts'

const CLIENT = 'coap-client-notls'

/** The targets that a query lists, from the document that libcoap's client has put together from its blocks. */
async function listed(query: string): Promise<{ hrefs: string[]; format: string | undefined; text: string }> {
  await using server = await startEtsi()
  const { text, received } = await runClient(CLIENT, '-m', 'get', `${server.url}/.well-known/core${query}`)
  expect(received[0]!.code).toBe('2.05')
  // Payloads are printed twice: with each message, escaped, and at last as they are.
  const document = text.split('\n').findLast(printed => printed.startsWith('<')) ?? ''
  return {
    hrefs: parseLinks(document).map(({ href }) => href),
    format: received[0]!.options.find(option => option.startsWith('Content-Format')),
    text: document
  }
}

// ETSI CoAP#4, TD_COAP_LINK_*.
describeWith(CLIENT, 'ETSI LINK', () => {
  test.concurrent('LINK_01: /.well-known/core lists the resources as link format, with their attributes', async () => {
    const { hrefs, format, text } = await listed('')
    expect(format).toBe('Content-Format:application/link-format')
    expect(hrefs).toEqual(expect.arrayContaining(['/test', '/separate', '/seg1/seg2/seg3', '/large', '/obs', '/link1', '/link2', '/link3', '/path']))
    expect(hrefs).not.toContain('/path/:sub')
    const links = new Map(parseLinks(text).map(({ href, attributes }) => [href, attributes]))
    expect(links.get('/test')).toMatchObject({ title: 'Default test resource' })
    expect(links.get('/obs')).toMatchObject({ obs: true })
    expect(links.get('/path')).toMatchObject({ ct: '40' })
    expect(links.get('/link1')).toMatchObject({ rt: 'Type1', if: 'If1', sz: '21' })
  })

  test.concurrent('LINK_02: ?rt=Type1 lists those of one type', async () => {
    expect((await listed('?rt=Type1')).hrefs).toEqual(['/link1', '/link3'])
  })

  test.concurrent('LINK_03: ?rt=* lists those that have a type', async () => {
    expect((await listed('?rt=*')).hrefs).toEqual(['/link1', '/link2', '/link3'])
  })

  test.concurrent('LINK_04: ?rt=Type2 finds one word of several', async () => {
    expect((await listed('?rt=Type2')).hrefs).toEqual(['/link2'])
    expect((await listed('?rt=Type3')).hrefs).toEqual(['/link2', '/link3'])
  })

  test.concurrent('LINK_05: ?if=If* finds what begins so', async () => {
    expect((await listed('?if=If*')).hrefs).toEqual(['/link1', '/link2'])
  })

  test.concurrent('LINK_06: ?sz=* lists those that tell their size', async () => {
    expect((await listed('?sz=*')).hrefs).toEqual(['/link1'])
  })

  test.concurrent('LINK_07: ?href=/link1 finds one target', async () => {
    expect((await listed('?href=/link1')).hrefs).toEqual(['/link1'])
  })

  test.concurrent('LINK_08: ?href=/link* finds targets that begin so', async () => {
    expect((await listed('?href=/link*')).hrefs).toEqual(['/link1', '/link2', '/link3'])
  })

  test.concurrent('LINK_09: a resource of link format lists what is below it', async () => {
    await using server = await startEtsi()
    const { received } = await runClient(CLIENT, '-m', 'get', `${server.url}/path`)
    expect(received[0]).toMatchObject({ code: '2.05', payload: '</path/sub1>,</path/sub2>,</path/sub3>' })
    expect(received[0]!.options).toContain('Content-Format:application/link-format')
    const sub = await runClient(CLIENT, '-m', 'get', `${server.url}/path/sub2`)
    expect(sub.received[0]).toMatchObject({ code: '2.05', payload: 'sub sub2' })
  })
})
