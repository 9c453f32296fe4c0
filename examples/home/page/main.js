// The page: a card for each light and each sensor, kept live by one event stream for each collection.
import { showChanges } from './changes.js'
import { lightCards } from './lights.js'
import { sensorCards } from './sensors.js'
import { observe } from './streams.js'

const status = document.querySelector('#status')
const streams = new Map()
const WORDS = { waiting: 'Connecting', live: 'Live', lost: 'Connection lost, trying again' }

/** The state of the page is that of its worst stream. */
const note = (path, state) => {
  streams.set(path, state)
  const states = [...streams.values()]
  const worst = states.includes('lost') ? 'lost' : states.includes('waiting') ? 'waiting' : 'live'
  if (status.dataset.state === worst) return
  status.dataset.state = document.body.dataset.state = worst
  status.textContent = WORDS[worst]
}

const lights = lightCards(document.querySelector('#lights'))
const sensors = sensorCards(document.querySelector('#sensors'))

for (const [path, cards] of [
  ['/lights', lights],
  ['/sensors', sensors]
]) {
  observe(path, {
    state: state => note(path, state),
    items: (items, isMore) => {
      cards.show(items, isMore)
      void showChanges()
    }
  })
}

document.querySelector('#reading').textContent =
  `curl -X PUT -H 'content-type: application/json' -d '{"value":21.5,"unit":"°C"}' ${location.origin}/sensors/bedroom`
