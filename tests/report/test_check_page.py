"""The HTML report: what it says, that it needs nothing from elsewhere, and how it behaves in a real Chromium."""
from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from check_documents import report
from chromium import PROGRAM, Chromium

from migrator.report.check.html import report_html
from migrator.report.check.plot import error_plot
from migrator.report.check.tree import module_tree

LINEN = ''.join(f'linen_line_{number} = "<i>"\n' for number in range(1, 40))
NNX = ''.join(f'nnx_line_{number} = 1\n' for number in range(1, 40))
MODULES = [['', ''], ['block_0', 'blocks/0'], ['block_0/LayerNorm_1', 'blocks/0/norm2'], ['block_0/Dense_0', 'blocks/0/fc'],
           ['block_10', 'blocks/10'], ['block_2', 'blocks/2'], ['head', 'head']]


def document():
  found = report().to_document()
  found['cases'][1]['modules'] = MODULES
  return found


def page() -> str:
  return report_html(document(), {'vit': {'zoo/vit.py': (LINEN, NNX)}})


class Elements(HTMLParser):
  """Counts open elements, and collects what refers to somewhere."""

  VOID = {'meta', 'input', 'br', 'img', 'link'}

  def __init__(self, text: str):
    super().__init__()
    self.open, self.references, self.ids = [], [], []
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    given = dict(attributes)
    self.references += [given[name] for name in ('src', 'href', 'action', 'data') if name in given]
    self.ids += [given['id']] if 'id' in given else []
    if tag not in self.VOID:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open and self.open.pop() == tag, tag


def test_the_page_is_whole_and_refers_to_itself_only():
  found = Elements(page())
  assert found.open == [] and len(found.ids) == len(set(found.ids))
  assert found.references and all(reference.startswith('#') for reference in found.references)
  assert {reference[1:] for reference in found.references} <= set(found.ids)
  assert not re.search(r'https?://|@import|url\(', page())


def test_what_users_wrote_is_text():
  assert '&lt;b&gt;' in page() and 'the output: <b>' not in page() and 'x * 2 <in' not in page()
  assert '"&lt;i&gt;"' not in page() and '&quot;&lt;i&gt;&quot;' in page()


def test_modules_are_a_tree_in_natural_order():
  tree = module_tree(document()['cases'][1])
  assert [child.linen for child in tree.children] == ['block_0', 'block_2', 'block_10', 'head']
  assert [child.nnx for child in tree.children[0].children] == ['blocks/0/fc', 'blocks/0/norm2']
  assert tree.children[0].troubled and not tree.children[1].troubled
  assert tree.findings[0][0]['place'] == 'wiring'


def test_a_module_nobody_judged_is_not_called_equal():
  case = document()['cases'][1]
  assert module_tree(case).children[1].verdict == 'same program'
  for proof in case['proofs']:
    proof['modules'] = []
  assert module_tree(case).children[1].verdict == 'not judged'


def test_plots_show_errors_in_their_order():
  bars = re.findall(r'<rect class="(bar[^"]*)"[^>]* width="(\d+)"', error_plot(
    document()['cases'][1]['parts'][0]['worst'], 'errors'))
  widths = [int(width) for _, width in bars]
  assert bars[2][0] == 'bar whole' and widths[2] > widths[0] > widths[1] > 2
  assert error_plot([], 'none') == ''


def test_a_failed_run_has_a_page_too():
  text = report_html({**document(), 'cases': [], 'failure': 'no <cases>', 'exit_code': 2})
  assert 'no &lt;cases&gt;' in text and Elements(text).open == []


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
  if PROGRAM is None:
    pytest.skip('there is no Chromium on this machine (Debian: apt-get install chromium)')
  folder = tmp_path_factory.mktemp('page')
  (folder / 'report.html').write_text(page(), encoding='utf-8')
  with Chromium(folder / 'profile') as chromium:
    chromium.ask('Emulation.setDeviceMetricsOverride', width=1280, height=900, deviceScaleFactor=1, mobile=False)
    chromium.open(folder / 'report.html')
    yield chromium


def shown(browser) -> list[str]:
  return browser.value("[...document.querySelectorAll('.case:not([hidden]) h2')].map((title) => title.textContent)")


def test_it_loads_nothing_else_and_complains_of_nothing(browser):
  requests = [event['params']['request']['url'] for event in browser.events
              if event.get('method') == 'Network.requestWillBeSent']
  assert len(requests) == 1 and requests[0].startswith('file:')
  complaints = [event for event in browser.events
                if event.get('method') in ('Runtime.exceptionThrown', 'Log.entryAdded', 'Runtime.consoleAPICalled')]
  assert complaints == []


def test_filters_hide_cases_and_modules(browser):
  assert shown(browser) == ['mlp', 'vit', 'gru']
  browser.press('/')
  assert browser.value('document.activeElement.id') == 'find'
  browser.press(*'norm2')
  assert shown(browser) == ['vit']
  visible = "[...document.querySelectorAll('#case1 .tree li:not([hidden])')].map((item) => item.dataset.text)"
  assert any('norm2' in text for text in browser.value(visible)) and not any('head' in text for text in browser.value(visible))
  browser.press(*['Backspace'] * 5)
  assert browser.value("document.getElementById('find').value") == ''
  browser.value("document.querySelector('input[value=differs]').click()")
  assert shown(browser) == ['mlp', 'gru']
  browser.value("document.querySelector('input[value=differs]').click(); document.getElementById('troubled').click()")
  assert len(browser.value(visible)) == 3
  browser.value("document.getElementById('troubled').click()")


def test_keys_go_from_difference_to_difference(browser):
  browser.value('document.activeElement.blur()')
  browser.press('n')
  first = browser.value('document.activeElement.textContent')
  browser.press('n')
  second = browser.value('document.activeElement.textContent')
  assert 'wiring' in first and '1e-06 in Linen' in second
  browser.press('p')
  assert browser.value('document.activeElement.textContent') == first


def test_tab_reaches_a_case_and_space_opens_it(browser):
  browser.value("document.querySelector('#theme').focus()")
  browser.press('Tab')
  assert browser.value('document.activeElement.parentElement.id') == 'case0'
  before = browser.value("document.getElementById('case0').open")
  browser.press(' ')
  assert browser.value("document.getElementById('case0').open") is not before
  assert browser.value('getComputedStyle(document.activeElement).outlineStyle') == 'solid'


def test_a_place_leads_to_its_line_on_the_right_side(browser):
  browser.value("document.querySelector('#case1 details.source').open = false")
  browser.value("document.querySelector('#case1 .tree a[href*=nnx]').click()")
  line = browser.value('new Promise((done) => setTimeout(() => { const found = document.querySelector(":target"); '
                       'const box = found.getBoundingClientRect(); done([found.textContent, box.top >= 0 && '
                       'box.bottom <= innerHeight && box.height > 0]); }, 50))')
  assert line == ['12nnx_line_12 = 1\n', True]
  marked = browser.value("[...document.querySelectorAll('.marked')].map((line) => line.textContent)")
  assert marked == ['7linen_line_7 = "<i>"\n', '12nnx_line_12 = 1\n']
  columns = browser.value("[...document.querySelectorAll('#case1 .pair > div')].map((side) => side.getBoundingClientRect().x)")
  assert columns[0] < columns[1]


def test_light_and_dark(browser):
  back = 'getComputedStyle(document.body).backgroundColor'
  seen = {}
  for scheme in ('light', 'dark'):
    browser.ask('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}])
    seen[scheme] = browser.value(back)
  assert seen == {'light': 'rgb(255, 255, 255)', 'dark': 'rgb(20, 23, 29)'}
  browser.value("document.getElementById('theme').click()")
  assert browser.value(back) == seen['light']
  browser.value("document.getElementById('theme').click()")
  assert browser.value(back) == seen['dark']
