import { createSocket } from 'node:dgram'
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeTree, SECRET, type Served, serve, type Tree, traversals } from './support.ts'

let tree: Tree
let overTcp: Served
let overUdp: Served
let socket: Socket
let lines: AsyncIterator<string>

beforeAll(async () => {
  tree = makeTree({ 'data.json': '{"on":true}' })
  overTcp = await serve(tree.root, tcp({ port: 0 }), { watchInterval: 20 })
  overUdp = await serve(tree.root, udp({ port: 0 }))
  socket = connect(overTcp.port, '127.0.0.1')
  lines = createInterface(socket)[Symbol.asyncIterator]()
})

afterAll(async () => {
  socket.destroy()
  await overTcp.app.close()
  await overUdp.app.close()
  expect([overTcp.app.live, overUdp.app.live]).toEqual([0, 0])
  tree.remove()
})

const send = (bag: Record<string, unknown>): void => void socket.write(`${JSON.stringify({ 'iopa.Method': 'GET', ...bag })}\n`)
const next = async (): Promise<Record<string, unknown>> => JSON.parse((await lines.next()).value as string)

describe('files as bags', () => {
  test('GET answers text as a string, JSON as a value, other bytes as base64', async () => {
    send({ 'iopa.Path': '/a.txt' })
    expect(await next()).toMatchObject({ 'iopa.StatusCode': 200, 'iopa.Body': '0123456789' })
    send({ 'iopa.Path': '/data.json' })
    expect(await next()).toMatchObject({ 'iopa.StatusCode': 200, 'iopa.Body': { on: true } })
    send({ 'iopa.Path': '/bare/x.bin' })
    expect(await next()).toMatchObject({ 'iopa.StatusCode': 200, 'iopa.Body': Buffer.from('x').toString('base64'), 'iopa.BodyEncoding': 'base64' })
  })

  test('validators are headers', async () => {
    send({ 'iopa.Path': '/a.txt', 'iopa.Headers': { 'if-none-match': '*' } })
    expect(await next()).toMatchObject({ 'iopa.StatusCode': 304 })
  })

  test('an observer is notified of a change', async () => {
    const path = join(tree.root, 'watched.txt')
    writeFileSync(path, 'one')
    send({ 'iopa.Path': '/watched.txt', 'iopa.Observe': true, 'iopa.Seq': 1 })
    expect(await next()).toMatchObject({ 'iopa.Body': 'one', 'iopa.Seq': 1 })
    writeFileSync(path, 'two')
    let answer = await next()
    // A look may have met the file between its being emptied and its being written.
    if (answer['iopa.Body'] === '') answer = await next()
    expect(answer).toMatchObject({ 'iopa.Body': 'two', 'iopa.Seq': 1 })
    send({ 'iopa.Path': '/watched.txt', 'iopa.Observe': false, 'iopa.Seq': 1 })
    await next()
  })

  test('paths of the traversal corpus read nothing outside the root, over TCP and UDP', async () => {
    const paths = traversals(tree.base)
    const other = connect(overTcp.port, '127.0.0.1')
    const answers = createInterface(other)[Symbol.asyncIterator]()
    const datagrams = createSocket('udp4')
    // A server of datagrams leaves faults unanswered when they are many, so what comes is looked at as it comes.
    let came = ''
    datagrams.on('message', datagram => {
      came += plain(datagram.toString())
    })
    for (const path of paths) {
      const bag = JSON.stringify({ 'iopa.Method': 'GET', 'iopa.Path': path })
      other.write(`${bag}\n`)
      datagrams.send(bag, overUdp.port, '127.0.0.1')
      const answer = plain((await answers.next()).value as string)
      if (answer.includes(SECRET) || answer.includes('root:')) throw new Error(`${JSON.stringify(path)} leaves the root`)
    }
    other.destroy()
    datagrams.close()
    expect(came.length).toBeGreaterThan(5000)
    expect(came.includes(SECRET) || came.includes('root:')).toBe(false)
  }, 60_000)
})

/** An answer with its body decoded. */
const plain = (answer: string): string => {
  const bag = JSON.parse(answer)
  return bag['iopa.BodyEncoding'] === 'base64' ? Buffer.from(bag['iopa.Body'], 'base64').toString() : answer
}
