import type { Ledger } from './ledger.ts'
import type { Token } from './sessions.ts'

/** Checks that one member of each group, and no more than one, has got a message. */
export const settleGroups = (ledger: Ledger, token: Token): void => {
  if (token.ackedAt < 0 || token.expires || token.kind !== 'message') return
  for (const [group, members] of token.groups) {
    const all = [...ledger.sessions].filter(({ subscriptions }) => subscriptions.some(one => one.group === group && one.endedAt > token.sentAt))
    // A member that may not read the topic any more may lose what it had taken.
    if (all.some(({ user }) => ledger.rights.isForbidden(user, token.topic))) continue
    const got = all.filter(session => session.got.has(token.id))
    const onlyShared = got.filter(session => session.possible(token.topic, token.sentAt).every(one => one.group === group))
    if (onlyShared.length > 1 && token.resends === 0)
      ledger.fault(`@${token.id}@ on ${token.topic}: ${onlyShared.map(({ name }) => name)} get it, who share ${group}`)
    const stable = members.every(
      session =>
        !session.over &&
        !session.doubtful &&
        session.connection > 0 &&
        session.granted(token.topic).some(one => one.group === group && one.grantedQos > 0)
    )
    const readers = all.filter(({ user }) => ledger.rights.mayRead(user, token.topic))
    if (stable && got.length === 0 && readers.every(one => members.includes(one)))
      ledger.fault(`@${token.id}@ on ${token.topic} (QoS ${token.qos}): no member of ${group} gets it, of ${members.map(({ name }) => name)}`)
  }
}
